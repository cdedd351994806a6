"""Owns a real PostgreSQL cluster in a temporary folder: it can be killed and started again on its data. It touches no other cluster."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.ports import lasting_port
from tests.support.postgres_administrator import Administrator, StatementFailed
from tests.support.postgres_binaries import find_binaries, readable_for_all
from tests.support.processes import kill_family, unprivileged_user

READY_S = 60
STOP_S = 15
# fsync only guards against the loss of the machine, not of the process; synchronous_commit stays on, so a killed server loses nothing committed.
WITHOUT_FSYNC = ("fsync=off", "full_page_writes=off")
ALWAYS = ("listen_addresses=127.0.0.1", "max_connections=200", "jit=off", "log_min_messages=warning", "timezone=UTC")


class ClusterFailed(RuntimeError):
    """A program of PostgreSQL failed; the text holds the end of its output."""


class Cluster:
    """One server: `with Cluster() as cluster: cluster.create_database("a"); cluster.url("a")`.

    Its port stays the same over kill() and start(), so open engines find it again. Users: `postgres`, without a password.
    """

    def __init__(self, *, fsync: bool = False, settings: tuple[str, ...] = (), binaries: Path | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tocsin-pg-"))
        self.port = lasting_port()
        self._owner = unprivileged_user("postgres", "nobody")
        self._bin = binaries or find_binaries()
        if self._owner is not None:
            os.chown(self.folder, self._owner.pw_uid, self._owner.pw_gid)
            self._bin = readable_for_all(self._bin, self.folder)
        self._settings = (*ALWAYS, *(() if fsync else WITHOUT_FSYNC), *settings)
        self._process: subprocess.Popen[bytes] | None = None
        self._administrator: Administrator | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_running(self) -> bool:
        """Whether the server process is running."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start on the data that is there, or on new data, and wait until it answers. Raises ClusterFailed."""
        if self.is_running:
            return
        if not (self.folder / "data").exists():
            self._make_data()
        options = [word for setting in self._settings for word in ("-c", setting)]
        command = [
            self._bin / "postgres",
            "-D",
            self.folder / "data",
            "-k",
            self.folder,
            "-p",
            str(self.port),
            *options,
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._as_owner()
            )
        self._wait_ready()

    def kill(self) -> None:
        """End server and all its children at once, as `kill -9` and a crash do: nothing is flushed and clients are not informed."""
        if self._process is None:
            return
        self._dismiss_administrator()
        kill_family(self._process)
        self._process = None

    def stop(self) -> None:
        """Stop cleanly (SIGINT: clients are disconnected, data is flushed); kill when that takes too long."""
        if self._process is None:
            return
        self._dismiss_administrator()
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def close(self) -> None:
        """Stop and remove the data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        """Return the database's address for SQLAlchemy with asyncpg."""
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement through psql and return its rows, unaligned. Raises ClusterFailed with the server's error."""
        command = [self._bin / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(self.port)]
        return _run([*command, "-U", "postgres", "-d", database, "-c", statement]).strip()

    def run_script(self, path: Path, database: str) -> None:
        """Run a file of statements through psql. Raises ClusterFailed with the server's error."""
        command = [self._bin / "psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(self.port)]
        _run([*command, "-U", "postgres", "-d", database, "-1", "-f", path])

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, as a copy of a template if one is named (nobody may be connected to it), and return its address."""
        # Copying files is half the work of the default strategy, as nothing waits for a disk.
        copied = f' TEMPLATE "{template}" STRATEGY FILE_COPY' if template else ""
        self._administer(f'CREATE DATABASE "{name}"{copied}')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database and disconnect the clients that still use it."""
        self._administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _administer(self, statement: str) -> None:
        if self._administrator is None:
            self._administrator = Administrator(self.folder, self.port)
        try:
            self._administrator.run(statement)
        except StatementFailed as cause:
            self._dismiss_administrator()
            raise ClusterFailed(f"{cause}\n{self.log_tail()}") from cause

    def _dismiss_administrator(self) -> None:
        if self._administrator is not None:
            self._administrator.close()
            self._administrator = None

    def log_tail(self) -> str:
        """Return the last lines of the server's log."""
        log = self.folder / "log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else ""

    def _make_data(self) -> None:
        command = [self._bin / "initdb", "-D", self.folder / "data", "-U", "postgres", "--auth=trust", "--no-sync"]
        _run([*command, "--encoding=UTF8", "--locale=C"], **self._as_owner())

    def _as_owner(self) -> dict[str, Any]:
        # PostgreSQL refuses to run as root; no sudo or su: they may be absent, and they change the environment.
        if self._owner is None:
            return {"cwd": self.folder}
        return {"cwd": self.folder, "user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []}

    def _wait_ready(self) -> None:
        end = time.monotonic() + READY_S
        while True:
            if not self.is_running:
                self._process = None
                raise ClusterFailed(f"postgres ended at its start:\n{self.log_tail()}")
            try:
                self.sql("SELECT 1")
            except ClusterFailed as failed:
                if time.monotonic() > end:
                    self.kill()
                    raise ClusterFailed(f"not ready in {READY_S} s: {failed}\n{self.log_tail()}") from failed
                time.sleep(0.05)
            else:
                return


def _run(command: list[Any], **options: Any) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise ClusterFailed(f"{Path(command[0]).name}: {done.stderr.strip()}")
    return done.stdout
