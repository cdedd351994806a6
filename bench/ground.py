"""Real, migrated databases for the benches, and processes next to them. It measures nothing.

Both databases lie on the same disk and are as durable as in use: SQLite with synchronous=FULL, PostgreSQL with fsync.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.admin.first_start import first_start
from app.core.secret import Secret
from app.core.settings import Settings, load_settings
from app.store.engine import open_engines
from app.store.transactions import Database
from bench.load import ENROL_KEY
from tests.support.migrated import copy_sqlite, make_postgres_template, make_sqlite_template
from tests.support.postgres import Cluster

SECRET = "bench" * 8
ADMIN_KEY = "bench-administrator-key"
READY_S = 120.0
# A load comes under one key, faster than any key's default budgets.
BUDGETS = {
    "key_events_a_minute": 10**9,
    "key_new_agents_an_hour": 10**9,
    "key_new_jobs_an_hour": 10**9,
    "key_bytes_a_day": 10**15,
}


@dataclass(slots=True)
class Place:
    """A fresh database with what the first start puts into it, and a folder next to it."""

    url: str
    folder: Path

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.url.startswith("sqlite")

    @property
    def name(self) -> str:
        """The database's name, or its file's."""
        return self.url.rpartition("/")[2]

    def settings(self, **extra: object) -> Settings:
        """The settings of a process on it."""
        return load_settings(**self._ours(), **extra)

    def environment(self, **extra: object) -> dict[str, str]:
        """The same for a process of its own. It keeps compiled code, as an installed service has it: else each start would compile ours."""
        ours = {**self._ours(), **extra}
        ours.setdefault("log_level", "warning")
        developers = ("TOCSIN_", "PYTHONDONTWRITEBYTECODE")
        rest = {name: value for name, value in os.environ.items() if not name.startswith(developers)}
        return rest | {f"TOCSIN_{name.upper()}": str(value) for name, value in ours.items()}

    def _ours(self) -> dict[str, object]:
        keys = {"secret": SECRET, "enrol_key": ENROL_KEY, "admin_key": ADMIN_KEY}
        return {"database_url": self.url, "var_dir": self.folder, **keys, **BUDGETS}


@dataclass(slots=True)
class Ground:
    """One kind of database; each `place` on it is a new, migrated one."""

    name: str
    folder: Path
    template: Path | str
    cluster: Cluster | None = None
    _made: int = 0

    def sql(self, place: Place, *statements: str) -> str:
        """Run statements on a database that no process of ours is writing to; return the rows of the last one, one per line."""
        if self.cluster is not None:
            return [self.cluster.sql(statement, place.name) for statement in statements][-1]
        with contextlib.closing(sqlite3.connect(place.url.partition(":///")[2], timeout=30)) as connection, connection:
            rows = [connection.execute(statement).fetchall() for statement in statements][-1]
        return "\n".join("|".join(map(str, row)) for row in rows)

    @property
    def cpu_s(self) -> float:
        """CPU time that PostgreSQL's server has used, with its connections that have ended; 0 for SQLite, which runs in our processes."""
        if self.cluster is None:
            return 0.0
        pid = int((self.cluster.folder / "data" / "postmaster.pid").read_text().split()[0])
        return _cpu_s(_family_of(psutil.Process(pid)))

    def place(self, **settings: object) -> Place:
        """Make a database and start it for the first time; `settings` are those of its recipient."""
        self._made += 1
        name = f"{self.name.lower()}_{self._made}"
        folder = self.folder / name
        folder.mkdir()
        if self.cluster is None:
            place = Place(copy_sqlite(Path(self.template), folder / "tocsin.db"), folder)
        else:
            place = Place(self.cluster.create_database(name, str(self.template)), folder)
        asyncio.run(_furnish(place.settings(**settings)))
        return place


DATABASES = ("SQLite", "PostgreSQL")


@contextlib.contextmanager
def grounds(names: Sequence[str] = DATABASES) -> Iterator[list[Ground]]:
    """Yield these databases, and remove them afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tocsin-bench-"))
    found: list[Ground] = []
    try:
        with contextlib.ExitStack() as stack:
            if "SQLite" in names:
                found.append(Ground("SQLite", folder, make_sqlite_template(folder / "template.db")))
            if "PostgreSQL" in names:
                settings = ("shared_buffers=256MB", "max_wal_size=4GB")
                cluster = stack.enter_context(Cluster(fsync=True, settings=settings))
                found.append(Ground("PostgreSQL", folder, make_postgres_template(cluster), cluster))
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _furnish(settings: Settings) -> None:
    database = Database(open_engines(settings))
    try:
        await first_start(database, settings, Secret(SECRET))
    finally:
        await database.close()


@dataclass(slots=True)
class Process:
    """A process of ours that listens on a port."""

    popen: subprocess.Popen[bytes]
    port: int

    @property
    def resident(self) -> int:
        """Memory of it and of all processes that it started, in bytes.

        Memory that several of them share since a fork counts once; of files, such as libraries, the most that one of them has read.
        """
        memory = [_memory(process) for process in self._family()]
        return sum(anonymous for anonymous, _ in memory) + max(files for _, files in memory)

    @property
    def descriptors(self) -> int:
        """Open files and sockets of it and of the processes that it started."""
        return sum(process.num_fds() for process in self._family())

    @property
    def cpu_s(self) -> float:
        """CPU time that it and all processes that it started have used, also those that have ended."""
        return _cpu_s(self._family())

    def _family(self) -> list[psutil.Process]:
        return _family_of(psutil.Process(self.popen.pid))

    def line(self) -> bytes:
        """Wait for the next line that it prints. Raises RuntimeError when it ended."""
        line: bytes = self.popen.stdout.readline() if self.popen.stdout else b""
        if not line:
            raise RuntimeError(f"{self.popen.args!r} has ended")
        return line


@contextlib.contextmanager
def running(*words: str, environment: dict[str, str] | None = None, shown: bool = False) -> Iterator[Process]:
    """Run `python -m words` until the block ends, with a free port in TOCSIN_PORT, and wait until it listens there."""
    port = free_port()
    env = {**(environment or os.environ), "TOCSIN_PORT": str(port)}
    with running_program([sys.executable, "-m", *words], port, environment=env, shown=shown) as process:
        yield process


@contextlib.contextmanager
def running_program(
    command: Sequence[str], port: int, *, environment: dict[str, str] | None = None, shown: bool = False
) -> Iterator[Process]:
    """Run a program until the block ends, and wait until it listens on the port."""
    out = subprocess.PIPE if shown else subprocess.DEVNULL
    popen = subprocess.Popen(command, env=environment, stdout=out)
    try:
        _wait_until_listening(popen, port)
        yield Process(popen, port)
    finally:
        popen.terminate()
        try:
            popen.wait(READY_S)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
        if popen.stdout is not None:
            popen.stdout.close()


def _family_of(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _cpu_s(family: list[psutil.Process]) -> float:
    used = 0.0
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            used += sum(process.cpu_times()[:4])  # user, system, and both of ended children
    return used


def _memory(process: psutil.Process) -> tuple[int, int]:
    """Return its share of anonymous memory, in which what n processes have in common counts as an nth, and what it has of files."""
    try:
        lines = [*_lines(process.pid, "smaps_rollup"), *_lines(process.pid, "status")]
    except OSError:  # it has just ended
        return 0, 0
    kib = {words[0]: int(words[1]) for words in map(str.split, lines) if words[-1] == "kB"}
    return kib["Pss_Anon:"] * 1024, (kib["RssFile:"] + kib["RssShmem:"]) * 1024


def _lines(pid: int, name: str) -> list[str]:
    return [line for line in Path(f"/proc/{pid}/{name}").read_text().splitlines() if line.strip()]


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not listen on {port}")
