"""Allows only one service process at a time on SQLite. PostgreSQL needs no such lock."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from app.core.errors import Conflict
from app.core.settings import Settings


@contextlib.contextmanager
def only_process(settings: Settings) -> Iterator[None]:
    """Hold the lock `var_dir/tocsin.lock` while serving on SQLite. Raises Conflict if another process holds it; it ends with its process."""
    if not settings.is_sqlite:
        yield
        return
    path = settings.var_dir / "tocsin.lock"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise Conflict(
                f"another Tocsin (process {holder}) already serves from {settings.var_dir}; stop it first, "
                "or set TOCSIN_DATABASE_URL to a PostgreSQL database, which many processes may share",
                code="already_running",
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(file)
