"""Transactions. This is the only file that commits: an `async with database.write()` block is committed as a whole or not at all."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from app.core import metrics
from app.core.log import log
from app.store.async_engine import AsyncConnection, AsyncEngine
from app.store.database_errors import WriteState, raise_unavailable
from app.store.engine import ADAPTED, BUSY_S, DEFERRED, IS_CLEAN, Engines
from app.store.prepared import Prepared, Together, Values
from app.store.writer_queue import WriteOrder

T = TypeVar("T")
_OnSqlite = Callable[[sqlite3.Connection], object]
_TOO_LONG_S = 1.0
_NOT_ON_DISK = "SET LOCAL synchronous_commit TO off;"
# Each is entered when a transaction begins to hold the writer and left when it releases it: tests measure with them what a metric
# of wall time cannot tell on a busy machine.
HOLD_WATCHERS: list[Callable[[AsyncConnection], AbstractContextManager[None]]] = []


@dataclass(slots=True)
class ReadTx:
    """A connection for reading. Functions in `store/` that take a ReadTx change nothing."""

    connection: AsyncConnection
    _driver: Any = None

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.connection.dialect.name == "sqlite"

    async def fetch(self, statement: Prepared, **values: object) -> list[Values]:
        """Run a prepared statement and return its rows."""
        driver = self._driver or await self._connect()
        compiled = statement.compiled(self.connection.dialect)
        arguments = compiled.arguments(values)
        if compiled.builder.is_sqlite:
            [rows] = await self._run_on_sqlite(partial(_fetch_each, statements=[(compiled.sql, arguments)]))
            return compiled.read(rows)
        return compiled.read(await driver.fetch(compiled.sql, *arguments))

    async def fetch_columns(self, statement: Prepared, columns: Mapping[str, Sequence[object]]) -> list[Values]:
        """Run a prepared statement of PostgreSQL for rows whose values are given column by column, and return its rows."""
        driver = self._driver or await self._connect()
        compiled = statement.compiled(self.connection.dialect)
        return compiled.read(await driver.fetch(compiled.sql, *compiled.array_arguments(columns)))

    async def fetch_together(self, together: Together, **values: object) -> list[list[Values]]:
        """Run several prepared statements and return the rows of each, of one snapshot, in one turn to PostgreSQL or to SQLite's thread."""
        dialect = self.connection.dialect
        reads = [read.compiled(dialect) for read in together.reads]
        found: Iterable[Any]
        if self.is_sqlite:
            statements = [(read.sql, read.arguments(values)) for read in reads]
            found = await self._run_on_sqlite(partial(_fetch_of_one_snapshot, statements=statements))
        else:
            [found] = await self.fetch(together.whole, **values)
        return [read.read(rows) for read, rows in zip(reads, found, strict=True)]

    async def _connect(self) -> Any:  # noqa: ANN401  (aiosqlite's or asyncpg's connection)
        self._driver = _driver_of(self.connection)
        return self._driver

    async def _run_on_sqlite(self, act: Callable[[sqlite3.Connection], T]) -> T:
        driver = self._driver or await self._connect()
        result: T = await driver._execute(act, driver._connection)  # noqa: SLF001
        return result


@dataclass(slots=True)
class WriteTx(ReadTx):
    """A connection for reading and writing, inside one transaction.

    On SQLite, BEGIN and changes whose result nobody asks for are `_deferred` until the next statement, and the last ones until COMMIT: each
    turn to SQLite's thread takes 0.05 ms of CPU time and 0.1 ms of waiting, and an alert had 49 of them. An error of such a change is
    raised by what it was run with, and ends the transaction like any other.
    """

    _deferred: list[_OnSqlite] = field(default_factory=list)
    _after: list[Callable[[], None]] = field(default_factory=list)

    async def change(self, statement: Prepared, **values: object) -> None:
        """Run a prepared change."""
        if self.is_sqlite:
            compiled = statement.compiled(self.connection.dialect)
            self._deferred.append(partial(_change, sql=compiled.sql, arguments=compiled.arguments(values)))
        else:
            await self.change_counted(statement, **values)

    async def change_counted(self, statement: Prepared, **values: object) -> int:
        """Run a prepared change and return how many rows it changed."""
        driver = self._driver or await self._connect()
        compiled = statement.compiled(self.connection.dialect)
        arguments = compiled.arguments(values)
        if compiled.builder.is_sqlite:
            return await self._run_on_sqlite(partial(_change, sql=compiled.sql, arguments=arguments))
        return int((await driver.execute(compiled.sql, *arguments)).rpartition(" ")[2])

    async def change_each(self, statement: Prepared, rows: Iterable[Mapping[str, object]]) -> None:
        """Run a prepared change for each of these rows of values; on PostgreSQL at once, if it is built for that."""
        rows = list(rows)
        if rows:
            await self.change_columns(statement, {name: [row[name] for row in rows] for name in rows[0]})

    async def change_columns(self, statement: Prepared, columns: Mapping[str, Sequence[object]]) -> None:
        """Do the same for rows whose values are given column by column."""
        if not all(columns.values()):
            return
        driver = self._driver or await self._connect()
        compiled = statement.compiled(self.connection.dialect)
        if compiled.builder.arrays:
            await driver.execute(compiled.sql, *compiled.array_arguments(columns))
            return
        rows = list(zip(*compiled.columns(columns), strict=True))
        if compiled.builder.is_sqlite:
            self._deferred.append(partial(_change_each, sql=compiled.sql, rows=rows))
        else:
            await driver.executemany(compiled.sql, rows)

    async def _run_on_sqlite(self, act: Callable[[sqlite3.Connection], T]) -> T:
        deferred = self._deferred[:]
        self._deferred.clear()
        return await super(WriteTx, self)._run_on_sqlite(partial(_run_with, deferred, act))

    async def _connect(self) -> Any:  # noqa: ANN401
        adapted = self.connection.info[ADAPTED]
        if not self.is_sqlite and adapted._transaction is None:  # noqa: SLF001
            # SQLAlchemy sends BEGIN before the first statement that it runs itself. Without one, the driver would commit each change.
            await adapted._start_transaction()  # noqa: SLF001
        return await super(WriteTx, self)._connect()

    async def begin(self, settings: str) -> None:
        """Begin now, not with the first statement: settings of PostgreSQL for this transaction go in one turn with its BEGIN."""
        driver = _driver_of(self.connection)
        driver.next_settings = settings
        try:
            await self._connect()
        finally:
            driver.next_settings = ""  # for no other transaction, whatever happened to this one

    @asynccontextmanager
    async def on_sqlite(self) -> AsyncIterator[None]:
        """Begin with the first statement, commit at the end, roll back on any error."""
        # What SQLAlchemy runs begins with the deferred changes (store/engine.py).
        self._deferred.append(_begin)
        self.connection.info[DEFERRED] = self._deferred
        try:
            yield
            if self.connection.in_transaction():  # SQLAlchemy has run statements of its own
                if self._deferred:
                    await self._run_on_sqlite(_nothing)
                await self.connection.commit()
            elif self._deferred != [_begin]:
                await self._run_on_sqlite(_commit)
        except BaseException:
            self._deferred.clear()
            if self.connection.in_transaction():
                await self.connection.rollback()
            await self._run_on_sqlite(_roll_back)
            raise
        finally:
            del self.connection.info[DEFERRED]

    def after_commit(self, act: Callable[[], None]) -> None:
        """Call `act` after a successful commit, for wakeups and logs. Before it, a stage would wake up and find nothing."""
        self._after.append(act)

    def committed(self) -> None:
        """Call what was registered for after the commit."""
        for act in self._after:
            act()


@dataclass(frozen=True, slots=True)
class Database:
    """The database: opens transactions."""

    engines: Engines

    @asynccontextmanager
    async def write(
        self, order: WriteOrder = WriteOrder.OTHER, *, is_on_disk: bool = True, settings: str = ""
    ) -> AsyncIterator[WriteTx]:
        """Open a transaction; commit at its end, roll back on any error. Raises Unavailable when the database is away.

        `order`: who has SQLite's writer first of those who wait for it. Without `is_on_disk`, a commit on PostgreSQL does not wait for the
        disk (on SQLite that made no difference): after a power cut it may be missing, with all that was committed after it in the same
        way. Only for a step that is then taken again, and of which nothing leaves this service before another commit has waited: that one
        brings all earlier ones to the disk. `settings` of PostgreSQL are for this transaction.
        """
        async with self.engines.writing.watching(), self._turn(order), _connected(self.engines.writer) as connection:
            tx = WriteTx(connection)
            with _held(connection):
                async with tx.on_sqlite() if self.is_sqlite else connection.begin():
                    if not self.is_sqlite and (settings or not is_on_disk):
                        await tx.begin(settings if is_on_disk else settings + _NOT_ON_DISK)
                    yield tx
                connection.info[IS_CLEAN] = True
        tx.committed()

    async def write_at_once(self, work: Callable[[sqlite3.Connection], T], order: WriteOrder) -> T:
        """Run a whole transaction in the thread of the SQLite connection. Raises Unavailable when the database is away.

        Each thread switch waits for the event loop, which may take long when it is busy: this needs two instead of eight.
        """
        async with self.engines.writing.watching(), self._turn(order), _connected(self.engines.writer) as connection:
            driver = _driver_of(connection)
            with _held(connection):
                result: T = await driver._execute(_run_in_transaction, driver._connection, work)  # noqa: SLF001
            connection.info[IS_CLEAN] = True
            return result

    async def fetch_alone(self, statement: str, *values: object) -> list[Any]:
        """Run a single statement on PostgreSQL as its own transaction, and return its rows. Raises Unavailable when the database is away.

        It goes directly to the driver, without BEGIN and COMMIT: a single statement is atomic anyway, and two round trips are saved.
        """
        async with self.engines.writing.watching(), _connected(self.engines.writer) as connection:
            driver = _driver_of(connection)
            with _held(connection):
                rows: list[Any] = await driver.fetch(statement, *values)
            return rows

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[ReadTx]:
        """Open a connection on which each statement of PostgreSQL is its own transaction, as in `fetch_alone`: one that changes something, too."""
        async with self.engines.writing.watching(), _connected(self.engines.writer) as connection:
            with _held(connection):
                yield ReadTx(connection)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadTx]:
        """Open a connection for reading. It sees one snapshot on SQLite, and committed rows on PostgreSQL. Raises Unavailable."""
        with raise_unavailable():
            async with _connected(self.engines.reader) as connection:
                yield ReadTx(connection)
                if not connection.in_transaction():  # only prepared statements were run
                    connection.info[IS_CLEAN] = True

    def _turn(self, order: WriteOrder) -> AbstractAsyncContextManager[None]:
        return self.engines.queue.turn(order, BUSY_S) if self.is_sqlite else nullcontext()

    def is_wanted(self, before: WriteOrder) -> bool:
        """Return whether somebody waits for SQLite's writer who goes before this one."""
        return self.engines.queue.is_wanted(before)

    @property
    def writing(self) -> WriteState:
        """Whether the database can be written."""
        return self.engines.writing

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.engines.is_sqlite

    async def close(self) -> None:
        """Close every connection."""
        await self.engines.close()


@asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Take a connection out of the pool and put it back. SQLAlchemy's own way starts a task for that, also where there is nothing to wait for."""
    connection = await engine.connect()
    is_unfinished = True
    try:
        yield connection
        is_unfinished = connection.in_transaction()
    finally:
        if is_unfinished:  # it is rolled back, even if this task is cancelled meanwhile
            await asyncio.shield(asyncio.create_task(connection.close()))
        else:
            await connection.close()


def _driver_of(connection: AsyncConnection) -> Any:  # noqa: ANN401
    return connection.info[ADAPTED].driver_connection


@contextmanager
def _held(connection: AsyncConnection) -> Iterator[None]:
    """Observe how long a transaction keeps others from writing: all of them on SQLite, those of the same rows on PostgreSQL."""
    began = time.perf_counter()
    try:
        with ExitStack() as watching:
            for watch in HOLD_WATCHERS:
                watching.enter_context(watch(connection))
            yield
    finally:
        seconds = time.perf_counter() - began
        metrics.observe_write(seconds)
        if seconds > _TOO_LONG_S:
            work = metrics.CURRENT_STAGE.get() or "request"
            log.warning("a transaction kept others waiting", work=work, seconds=round(seconds, 2))


def _run_with(
    deferred: Iterable[_OnSqlite], act: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection
) -> T:
    for earlier in deferred:
        earlier(connection)
    return act(connection)


def _begin(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")


def _commit(connection: sqlite3.Connection) -> None:
    connection.execute("COMMIT")


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _nothing(_: sqlite3.Connection) -> None:
    pass


def _fetch_each(connection: sqlite3.Connection, statements: Iterable[tuple[str, Sequence[Any]]]) -> list[list[Values]]:
    return [connection.execute(sql, arguments).fetchall() for sql, arguments in statements]


def _fetch_of_one_snapshot(
    connection: sqlite3.Connection, statements: Iterable[tuple[str, Sequence[Any]]]
) -> list[list[Values]]:
    if connection.in_transaction:
        return _fetch_each(connection, statements)
    connection.execute("BEGIN")
    try:
        return _fetch_each(connection, statements)
    finally:
        connection.execute("ROLLBACK")


def _change(connection: sqlite3.Connection, sql: str, arguments: Sequence[Any]) -> int:
    return connection.execute(sql, arguments).rowcount


def _change_each(connection: sqlite3.Connection, sql: str, rows: Sequence[Sequence[Any]]) -> None:
    connection.executemany(sql, rows)


def _run_in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    _begin(connection)
    try:
        result = work(connection)
        _commit(connection)
    except BaseException:
        _roll_back(connection)
        raise
    return result
