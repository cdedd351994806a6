"""One unit of work: the only place that commits. What one `async with store.write()` does is done whole or not at all."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.away import telling_away
from app.store.engine import Engines

T = TypeVar("T")


@dataclass(slots=True)
class ReadTx:
    """A connection that only reads. Functions of `store/` that take a View change nothing."""

    connection: AsyncConnection

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.connection.dialect.name == "sqlite"


@dataclass(slots=True)
class WriteTx(ReadTx):
    """A connection that also writes, inside one transaction. `after_commit` runs only if it was committed (doorbells)."""

    _after: list[Callable[[], None]] = field(default_factory=list)

    def after_commit(self, act: Callable[[], None]) -> None:
        """Do `act` once the commit succeeded; never before, or a stage would wake and find nothing."""
        self._after.append(act)

    def committed(self) -> None:
        """Run what waited for the commit."""
        for act in self._after:
            act()


@dataclass(frozen=True, slots=True)
class Database:
    """The database, as the rest of the house sees it."""

    engines: Engines

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteTx]:
        """Open a unit of work; commit at its end, roll back on any error. Raises Unavailable when the database is away."""
        with telling_away():
            async with self.engines.writer.connect() as connection:
                tx = WriteTx(connection)
                async with connection.begin():
                    yield tx
        tx.committed()

    async def write_at_once(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do a whole unit of work in the embedded database's own thread. Raises Unavailable when the database is away.

        Each change of threads waits for a turn of the loop, which may be long when it is busy: here are two, not eight.
        """
        with telling_away():
            async with self.engines.writer.connect() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                assert driver is not None  # noqa: S101  (the pool gives connections that are open)
                found: T = await driver._execute(_whole, driver._connection, work)  # noqa: SLF001
                return found

    async def fetch_alone(self, statement: str, *values: object) -> list[Any]:
        """Run one statement on PostgreSQL that is a whole unit of work, and give its rows. Raises Unavailable when the database is away.

        By the driver itself and outside of a transaction, for one statement is whole or nothing: a begin and a commit are saved.
        """
        with telling_away():
            async with self.engines.writer.connect() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                assert driver is not None  # noqa: S101  (the pool gives connections that are open)
                rows: list[Any] = await driver.fetch(statement, *values)
                return rows

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadTx]:
        """Open a view that sees one moment on SQLite, and committed rows on PostgreSQL."""
        with telling_away():
            async with self.engines.reader.connect() as connection:
                yield ReadTx(connection)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.engines.is_sqlite

    async def close(self) -> None:
        """Close every connection."""
        await self.engines.close()


def _whole(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return found
