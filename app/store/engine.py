"""Opens the database: SQLite with one writing connection and for one service process, or PostgreSQL.

On PostgreSQL, `share_wakeups` passes wakeups on between processes by LISTEN and NOTIFY. While they do not arrive, the stages poll each
second.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolResetState

from app.core.disk import Reserve, trouble_of, try_to_write
from app.core.errors import BadSettings, Conflict
from app.core.log import log
from app.core.periodic import run_in_background
from app.core.settings import MIB, Settings
from app.core.wakeups import Wakeups
from app.store.async_engine import AsyncEngine, create_async_engine
from app.store.database_errors import WriteState, connection_errors
from app.store.postgres_connection import connection_class
from app.store.prepared import read_json
from app.store.writer_queue import WriterQueue

BUSY_S = 30  # how long to wait for a connection, and for the lock of SQLite
IS_CLEAN = "is_clean"  # in the info of a connection: whoever used it last has ended its transaction
ADAPTED = "adapted"  # there too: the connection as SQLAlchemy adapts it, to be had without a greenlet
DEFERRED = "deferred"  # there too: changes that are run before the next statement (store/transactions.py)
PING_AFTER_S = 2.0  # a connection that was idle for longer is tested before it is used
# A host that lost power sends nothing more, and a query would wait for its answer for ever: it counts as dead after a minute.
_PROBES = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}


@dataclass(frozen=True, slots=True)
class Engines:
    """`writer` makes all changes, `reader` none. On PostgreSQL both are the same engine, and nobody waits in the `queue`."""

    writer: AsyncEngine
    reader: AsyncEngine
    writing: WriteState = field(default_factory=WriteState)
    queue: WriterQueue = field(default_factory=WriterQueue)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.writer.dialect.name == "sqlite"

    async def close(self) -> None:
        """Close every connection."""
        await self.writer.dispose()
        if self.reader is not self.writer:
            await self.reader.dispose()


def open_engines(settings: Settings) -> Engines:
    """Create the engines; nothing connects yet."""
    file = settings.database_file
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # One writing connection: SQLite before 3.51.3 can corrupt a WAL with two.
        return Engines(
            _sqlite(settings.database, size=1, writes=True),
            _sqlite(settings.database, size=4, writes=False),
            WriteState(file, reserve_of(settings)),
        )
    engine = create_async_engine(
        settings.database,
        # The driver would forget each prepared statement after five minutes: an alert after a quiet time took 35 instead of 20 ms.
        connect_args={"connection_class": connection_class(), "max_cached_statement_lifetime": 0},
        pool_size=settings.database_pool,
        max_overflow=0,
        pool_timeout=BUSY_S,
        pool_use_lifo=True,  # a connection that was used a moment ago has most statements prepared already
        hide_parameters=True,  # the log entry of a failed statement must not hold the data of agents
        json_deserializer=read_json,  # also for prepared statements: `json` took 5 % of the CPU time of deciding on good events
    )
    _detect_dead_connections(engine)

    @event.listens_for(engine.sync_engine, "connect")
    def learn_records(connection: Any, record: Any) -> None:  # noqa: ANN401
        record.info[ADAPTED] = connection
        # The driver asks the server for what it knows of this type at its first use, which takes as long as ten other statements.
        connection.run_async(lambda driver: driver.fetch("SELECT ARRAY(SELECT ROW(1))"))

    return Engines(engine, engine)


def _detect_dead_connections(engine: AsyncEngine) -> None:
    """Replace connections that died in the pool, and notice a host that dies during a query.

    Without this, a request would fail with 503, which loses the events of tools that never try again. SQLAlchemy's own test before
    each use (pool_pre_ping) costs three round trips. The driver knows which connections the server closed; only one that was idle for
    a while may be dead without that being known, so only that one is tested. TCP keepalive is turned on because neither the driver
    nor asyncio does that, and a dead host could not be noticed while an answer is awaited.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def note_idle(_connection: Any, record: Any) -> None:  # noqa: ANN401
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def check_alive(connection: Any, record: Any, _proxy: object) -> None:  # noqa: ANN401
        if connection.driver_connection.is_closed():
            raise DisconnectionError("the server closed it")
        if time.monotonic() - record.info.get("idle_since", time.monotonic()) > PING_AFTER_S:
            try:
                connection.ping()
            except (DBAPIError, connection.dbapi.Error, OSError) as cause:
                raise DisconnectionError("it does not answer") from cause

    @event.listens_for(engine.sync_engine, "connect")
    def set_keepalive(connection: Any, _record: object) -> None:  # noqa: ANN401
        tcp = connection.driver_connection._transport.get_extra_info("socket")  # noqa: SLF001  (the driver has no other way)
        if tcp is None or tcp.family not in (socket.AF_INET, socket.AF_INET6):
            return
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PROBES.items():
            if hasattr(socket, name):  # not every system has these options
                tcp.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _sqlite(url: str, *, size: int, writes: bool) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        pool_use_lifo=True,  # as on PostgreSQL
        max_overflow=0,
        pool_timeout=BUSY_S,
        pool_reset_on_return=None,  # `roll_back` below does it
        connect_args={"timeout": BUSY_S, "cached_statements": 256},  # intake alone has a hundred
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, record: Any) -> None:  # noqa: ANN401
        record.info[ADAPTED] = connection
        connection.isolation_level = (
            None  # BEGIN is sent below: the driver's own comes too late for a transaction that reads before it writes
        )
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # an accepted event survives a power cut
        cursor.execute("PRAGMA foreign_keys=ON")
        # In KiB. Five connections: together 16 MB at most, whatever the size of the database. The system caches the file as well,
        # and reading a page from there takes about a microsecond.
        cursor.execute("PRAGMA cache_size=" + ("-8000" if writes else "-2000"))
        cursor.execute("PRAGMA query_only=" + ("OFF" if writes else "ON"))
        cursor.close()

    @event.listens_for(engine.sync_engine, "reset")
    def roll_back(connection: Any, record: Any, state: PoolResetState) -> None:  # noqa: ANN401
        # Not after a commit, or where no transaction began: it would cost one more thread switch.
        is_clean = record.info.pop(IS_CLEAN, False)
        if state.asyncio_safe and not (is_clean or state.transaction_was_reset):
            connection.rollback()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:  # noqa: ANN401
        if DEFERRED in connection.info:  # it begins with what was deferred
            return
        # Directly in the driver: one thread switch instead of three for each transaction.
        driver = connection.connection.dbapi_connection
        driver.run_async(lambda raw: raw.execute_fetchall("BEGIN IMMEDIATE" if writes else "BEGIN"))

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def run_deferred(connection: Any, *_: object) -> None:  # noqa: ANN401
        if deferred := connection.info.get(DEFERRED):
            acts = deferred[:]
            deferred.clear()
            connection.connection.dbapi_connection.run_async(lambda raw: raw._execute(_run_each, acts, raw._connection))  # noqa: SLF001

    return engine


def _run_each(acts: Iterable[Callable[[sqlite3.Connection], object]], connection: sqlite3.Connection) -> None:
    for act in acts:
        act(connection)


def reserve_of(settings: Settings) -> Reserve | None:
    """Return the room that is kept for alerts next to SQLite's file. PostgreSQL's disk is not ours, and need not be on this host."""
    if settings.database_file is None or settings.disk_reserve_mib == 0:
        return None
    return Reserve(settings.database_file.parent, settings.disk_reserve_mib * MIB)


@contextlib.contextmanager
def only_process(settings: Settings) -> Iterator[None]:
    """Hold the lock `var_dir/tocsin.lock` while serving on SQLite. The lock ends with the process.

    Raises Conflict if another process holds it, and BadSettings if the folders cannot be written.
    """
    if settings.database_file is None:
        yield
        return
    path = settings.var_dir / "tocsin.lock"
    with _naming(settings.var_dir):
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
        for folder in {settings.var_dir: None, settings.database_file.parent: None}:
            _check_folder(folder, reserve_of(settings))
        with _naming(settings.var_dir):
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(file)


def _check_folder(folder: Path, reserve: Reserve | None) -> None:
    """Refuse to start where nothing can be written. If the disk is only full, the room that was kept for alerts is given up first."""
    with _naming(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    error = try_to_write(folder)
    if error is not None and reserve is not None and reserve.give_up():
        error = try_to_write(folder)
    if error is not None:
        raise _cannot_write(folder, error) from error


@contextlib.contextmanager
def _naming(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _cannot_write(folder, error) from error


def _cannot_write(folder: Path, error: OSError) -> BadSettings:
    trouble = trouble_of(error)
    why = error.strerror if trouble is None else f"{trouble.what}; {trouble.mend}, or choose another folder"
    return BadSettings(f"TOCSIN_VAR_DIR: nothing can be written in {folder}: {why}, then start again")


CHANNEL = "tocsin"
FIRST_RETRY_S, RETRY_S = 0.1, 5  # the first one soon: a connection that was cut is mostly there again at once
ALIVE_S = 30
# Together less than the time after which other workers count one as dead that holds no lock, even where its network drops packets.
LOCK_CONNECT_S, LOCK_RETRY_S = 4.0, 1.0
PAUSE_S = 0.01  # the first wakeup is sent at once; those within this time are combined


@contextlib.asynccontextmanager
async def share_wakeups(wakeups: Wakeups, engines: Engines) -> AsyncIterator[None]:
    """Receive the wakeups of other processes, and send ours, until the block ends. Does nothing on SQLite."""
    if engines.is_sqlite:
        yield
        return
    wakeups.are_heard = False
    waiting = _Waiting()
    wakeups.far = waiting.add
    try:
        async with run_in_background(_keep_connected(wakeups, engines, waiting)):
            yield
    finally:
        wakeups.far = None


class _Waiting:
    """The stages to wake in other processes. None is lost while the connection is away."""

    def __init__(self) -> None:
        self.stages: set[str] = set()
        self._there = asyncio.Event()

    def add(self, stage: str) -> None:
        self.stages.add(stage)
        self._there.set()

    def end_wait(self) -> None:
        self._there.set()

    async def take(self) -> set[str]:
        await self._there.wait()
        self._there.clear()
        taken, self.stages = self.stages, set()
        return taken


def dsn_of(engines: Engines) -> str:
    """Return the address of PostgreSQL, for connections of our own."""
    dsn = engines.writer.url.set(drivername="postgresql").render_as_string(hide_password=False)
    # In a URL, asyncpg knows only libpq's name for it.
    return dsn.replace("?ssl=", "?sslmode=").replace("&ssl=", "&sslmode=")


async def keep_lock(engines: Engines, lock: str, name: str, note: Callable[[float | None], None]) -> None:
    """Hold an advisory lock of PostgreSQL in a session of its own until cancelled. The server frees it when the connection ends.

    `lock`: an SQL expression that takes the lock and has the name as its parameter. After a loss of the connection, it is taken again.
    `note` is called with the time of the event loop when it is held, and with None when it is not any more.
    """
    while True:
        try:
            await _hold_lock(dsn_of(engines), lock, name, note)
        except connection_errors() as cause:
            log.info("the lock of this worker is not held; it is taken again", cause=str(cause))
        await asyncio.sleep(LOCK_RETRY_S)


async def _hold_lock(dsn: str, lock: str, name: str, note: Callable[[float | None], None]) -> None:
    import asyncpg  # noqa: PLC0415  (on SQLite it is not imported)

    connection, closed = await asyncpg.connect(dsn, timeout=LOCK_CONNECT_S), asyncio.Event()
    connection.add_termination_listener(lambda _: closed.set())
    try:
        await connection.fetch(f"SELECT {lock}", name, timeout=ALIVE_S)
        note(asyncio.get_running_loop().time())
        while not connection.is_closed():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ALIVE_S):
                    await closed.wait()
            await connection.execute("SELECT 1", timeout=ALIVE_S)
    finally:
        note(None)
        await connection.close(timeout=1)


async def _keep_connected(wakeups: Wakeups, engines: Engines, waiting: _Waiting) -> None:
    dsn = dsn_of(engines)
    pause: float = RETRY_S
    while True:
        try:
            await _exchange(wakeups, dsn, waiting)
        except connection_errors() as cause:
            log.warning("connection for wakeups lost, polling instead", cause=str(cause))
        pause = FIRST_RETRY_S if wakeups.are_heard else RETRY_S
        if wakeups.are_heard:
            wakeups.wake_all_here(are_heard=False)
        await asyncio.sleep(pause)


async def _exchange(wakeups: Wakeups, dsn: str, waiting: _Waiting) -> None:
    import asyncpg  # noqa: PLC0415  (on SQLite it is not imported)

    connection = await asyncpg.connect(dsn)
    own_pid = connection.get_server_pid()

    def on_notify(_connection: Any, pid: int, _channel: str, stage: Any) -> None:  # noqa: ANN401
        if pid != own_pid:  # this process woke its own stages first
            wakeups.wake_here(str(stage))

    # Otherwise a connection that the server closes would be noticed only by the next statement.
    connection.add_termination_listener(lambda _: waiting.end_wait())
    try:
        await connection.add_listener(CHANNEL, on_notify)
        wakeups.wake_all_here(are_heard=True)
        while not connection.is_closed():
            try:
                async with asyncio.timeout(ALIVE_S):
                    stages = await waiting.take()
            except TimeoutError:  # only a statement shows a listener that its connection is dead
                await connection.execute("SELECT 1", timeout=ALIVE_S)
                continue
            try:
                for stage in sorted(stages):
                    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, stage, timeout=ALIVE_S)
            except connection_errors():
                for stage in stages:  # for the next connection
                    waiting.add(stage)
                raise
            await asyncio.sleep(PAUSE_S)
    finally:
        await connection.close(timeout=1)
