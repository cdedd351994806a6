"""Makes migrated databases: the chain of migrations runs once per kind, every further database is a copy."""

import atexit
import functools
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config

from tests.support.postgres import Cluster

ALEMBIC_INI = Path(__file__).parents[2] / "alembic.ini"
TEMPLATE = "tocsin_template"


def migrate(url: str, revision: str = "head") -> None:
    """Run the migrations up to a revision on the database at this address."""
    _run(command.upgrade, url, revision)


def migrate_back(url: str, revision: str) -> None:
    """Take the migrations after a revision back."""
    _run(command.downgrade, url, revision)


def _run(run: Callable[[Config, str], None], url: str, revision: str) -> None:
    config = Config(ALEMBIC_INI)
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    # env.py starts an event loop of its own, which a thread that already runs one refuses.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(run, config, revision).result()


def sqlite_url(path: Path) -> str:
    """Return a file's address as a URL for SQLAlchemy."""
    return f"sqlite+aiosqlite:///{path}"


def make_sqlite_template(path: Path) -> Path:
    """Make a migrated file to copy. Raises RuntimeError if part of it is still in a log next to it."""
    migrate(sqlite_url(path))
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        raise RuntimeError("the migrations left a connection open: a copy of the file would lack what is in its WAL")
    return path


@functools.cache
def sqlite_template() -> Path:
    """Return a migrated file to copy, made once in this process."""
    folder = Path(tempfile.mkdtemp(prefix="tocsin-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make_sqlite_template(folder / "tocsin.db")


def copy_sqlite(template: Path, path: Path) -> str:
    """Copy the template and return the copy's address."""
    shutil.copyfile(template, path)
    return sqlite_url(path)


def make_postgres_template(cluster: Cluster) -> str:
    """Make a migrated database to copy and return its name."""
    migrate(cluster.create_database(TEMPLATE))
    return TEMPLATE


@contextmanager
def postgres_copy(cluster: Cluster, template: str) -> Iterator[str]:
    """Yield the address of a copy that is dropped afterwards, even if clients are still connected."""
    name = f"test_{uuid.uuid4().hex}"
    try:
        yield cluster.create_database(name, template)
    finally:
        cluster.drop_database(name)
