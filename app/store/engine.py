"""Opens the database: SQLite with one writing connection, or PostgreSQL. The only file that knows how they differ in opening."""

import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from app.core.settings import Settings

BUSY_S = 30
UNSURE_S = 2.0  # a connection that was idle for longer is asked whether it lives
# A host that lost its power says nothing more, and who waits for its answer would wait for ever: it is dead after a minute.
_PROBES = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}


@dataclass(frozen=True, slots=True)
class Engines:
    """`writer` makes all changes; `reader` never does. On PostgreSQL they are one."""

    writer: AsyncEngine
    reader: AsyncEngine

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
    """Make the engines; nothing connects yet."""
    if settings.is_sqlite:
        Path(settings.database.split(":///", 1)[1]).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # One writing connection: SQLite before 3.51.3 can corrupt a WAL with two.
        return Engines(
            _sqlite(settings.database, size=1, writes=True), _sqlite(settings.database, size=4, writes=False)
        )
    engine = create_async_engine(
        settings.database,
        pool_size=settings.database_pool,
        max_overflow=0,
        pool_timeout=BUSY_S,
        hide_parameters=True,  # what agents sent must not stand in the log for a statement that failed
    )
    _let_no_dead_connection_out(engine)
    _notice_a_dead_host(engine)
    return Engines(engine, engine)


def _let_no_dead_connection_out(engine: AsyncEngine) -> None:
    """Make a connection anew that died in the pool: a 503 loses the events of tools that never try again.

    The library's own look before each use costs three round trips. One that the server closed is known to be closed; only
    one that lay idle for a while may be dead without our knowing, so only it is asked.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def note(_connection: Any, record: Any) -> None:  # noqa: ANN401
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def look(connection: Any, record: Any, _proxy: object) -> None:  # noqa: ANN401
        if connection.driver_connection.is_closed():
            raise DisconnectionError("the server closed it")
        if time.monotonic() - record.info.get("idle_since", time.monotonic()) > UNSURE_S:
            try:
                connection.ping()
            except (DBAPIError, connection.dbapi.Error, OSError) as cause:
                raise DisconnectionError("it does not answer") from cause


def _notice_a_dead_host(engine: AsyncEngine) -> None:
    """Have the system probe each connection while an answer is awaited; neither the driver nor the loop asks for that."""

    @event.listens_for(engine.sync_engine, "connect")
    def probe(connection: Any, _record: object) -> None:  # noqa: ANN401
        line = connection.driver_connection._transport.get_extra_info("socket")  # noqa: SLF001  (the driver has no other way)
        if line is None or line.family not in (socket.AF_INET, socket.AF_INET6):
            return
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PROBES.items():
            if hasattr(socket, name):  # not every system lets itself be told how often
                line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _sqlite(url: str, *, size: int, writes: bool) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=BUSY_S,
        connect_args={"timeout": BUSY_S, "cached_statements": 256},  # intake alone has a hundred
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: object) -> None:  # noqa: ANN401
        connection.isolation_level = (
            None  # we say BEGIN ourselves: the driver's own begins too late for a reader that writes
        )
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # an accepted event survives a power cut
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA cache_size=-32000")
        cursor.execute("PRAGMA query_only=" + ("OFF" if writes else "ON"))
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:  # noqa: ANN401
        # By the driver itself: one change of threads instead of three, for each unit of work.
        driver = connection.connection.dbapi_connection
        driver.run_async(lambda raw: raw.execute_fetchall("BEGIN IMMEDIATE" if writes else "BEGIN"))

    return engine
