"""Errors of the database: what they mean, and whether it can be written.

An error is the fault of the data or of the database; an outage must never be blamed on an event. `WriteState` keeps what the last
writes of this process showed. One log line tells that the database cannot be written, and one that it can again.
"""

import asyncio
import contextlib
import errno
import os
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import exc

from app.core import metrics
from app.core.disk import DiskTrouble, Reserve, diagnose, trouble_of
from app.core.errors import CannotWrite, Unavailable
from app.core.log import log

_SQLITE_OUTAGE = ("locked", "busy", "disk", "full", "unable to open", "I/O", "readonly")
# SQLSTATE classes: connection, serialisation and deadlock, insufficient resources, operator intervention, system error.
_OUTAGE_CLASSES = ("08", "40", "53", "57", "58")
# SQLSTATE classes: data exception, integrity constraint violation, program limit exceeded (a row that is too big).
_DATA_CLASSES = ("22", "23", "54")
_SQLITE_DATA = ("too big", "binding parameter", "malformed JSON")
# By SQLSTATE (PostgreSQL, appendix A): disk_full, read_only_sql_transaction, io_error.
_TROUBLE_BY_STATE = {"53100": DiskTrouble.FULL, "25006": DiskTrouble.READ_ONLY, "58030": DiskTrouble.BROKEN}
_OUT_OF_MEMORY = "53200"
# PostgreSQL has no state for these errors of the system, and quotes its text: it has XX000 and 42501 for them.
_TROUBLE_BY_TEXT = {
    os.strerror(number): trouble_of(OSError(number, "")) for number in (errno.EDQUOT, errno.EFBIG, errno.EROFS)
}
# SQLite's primary result codes: an extended code begins with them. A quota and a limit of a file's size are SQLITE_IOERR_WRITE.
_TROUBLE_BY_CODE = {
    "SQLITE_FULL": DiskTrouble.FULL,
    "SQLITE_READONLY": DiskTrouble.READ_ONLY,
    "SQLITE_IOERR": DiskTrouble.BROKEN,
}
_OTHER_OUTAGES = (exc.TimeoutError, exc.DisconnectionError, OSError, TimeoutError)


def _driver_errors() -> tuple[type[Exception], ...]:
    """Return what the drivers raise. On SQLite, asyncpg is not imported, which saves 3 MiB, and so has no errors."""
    asyncpg = sys.modules.get("asyncpg")
    if asyncpg is None:
        return (sqlite3.Error,)
    # What SQLAlchemy makes of them, which it wraps again unless we begin a transaction ourselves.
    adapter = sys.modules["sqlalchemy.dialects.postgresql.asyncpg"].AsyncAdapt_asyncpg_dbapi
    # The last one is raised for a statement on a connection that the server is closing at the same moment.
    return (
        sqlite3.Error,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        adapter.Error,
        asyncpg.InternalClientError,
    )


def connection_errors() -> tuple[type[Exception], ...]:
    """Return what a connection of a driver raises when it cannot be opened or breaks."""
    return OSError, TimeoutError, *_driver_errors()


def _all_errors() -> tuple[type[Exception], ...]:
    return exc.SQLAlchemyError, *connection_errors()


@contextlib.contextmanager
def raise_unavailable() -> Iterator[None]:
    """Raise Unavailable in place of any database error that is not the data's fault: the same work may succeed later.

    That includes errors that look like a wrong statement: a read-only standby or an unfinished migration must not cost an event.
    """
    try:
        yield
    except _all_errors() as cause:
        is_database_error = isinstance(cause, (exc.DBAPIError, *_driver_errors()))
        if is_fault_of_data(cause) if is_database_error else not isinstance(cause, _OTHER_OUTAGES):
            raise
        trouble = disk_trouble(cause)
        if trouble is not None:
            raise CannotWrite(describe_trouble(trouble), code=trouble) from cause
        if getattr(_driver_error(cause), "sqlstate", None) == _OUT_OF_MEMORY:
            raise Unavailable("the database has no memory left; try again", code="database_out_of_memory") from cause
        if not _is_outage(cause):  # then it may be a bug of ours, which nobody would notice without this log entry
            log.error("the database refuses to work, though it can be reached", cause=describe_error(cause))
        raise Unavailable("the database cannot be reached, is too busy or refuses to work; try again") from cause


def describe_trouble(trouble: DiskTrouble) -> str:
    """Return the text of an answer: what is wrong, and what the sender does."""
    return f"the database cannot be written: {trouble.what}; send it again later"


def disk_trouble(cause: BaseException) -> DiskTrouble | None:
    """Return what an error of the database says about its disk; None if it says something else."""
    error = _driver_error(cause)
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        by_text = (
            trouble
            for text, trouble in _TROUBLE_BY_TEXT.items()
            if state[:2] in ("XX", "42", "58") and text in str(error)
        )
        return next(by_text, None) or _TROUBLE_BY_STATE.get(
            state
        )  # a quota may have the state of any error of the disk
    if isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", None) or ""
        return next((trouble for code, trouble in _TROUBLE_BY_CODE.items() if name.startswith(code)), None)
    return None


def is_fault_of_data(cause: BaseException) -> bool:
    """Return whether the values are at fault: the database accepts the statement but refuses its values.

    An event may be rejected for nothing else: not for an outage, a missing table or a bug in our code.
    """
    error = _driver_error(cause)
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(_DATA_CLASSES)
    if isinstance(error, sqlite3.Error):
        return isinstance(error, sqlite3.IntegrityError | sqlite3.DataError) or any(
            word in str(error) for word in _SQLITE_DATA
        )
    return isinstance(error, UnicodeEncodeError | OverflowError)  # the driver cannot encode the value


def describe_error(cause: BaseException) -> str:
    """Name an error without the values that the driver quotes: they are a customer's data, and many people read logs."""
    error = _driver_error(cause)
    if isinstance(error, sqlite3.Error):
        return f"{type(error).__name__}: {error}"
    state = getattr(error, "sqlstate", None)
    named = error.__cause__ if isinstance(cause, exc.DBAPIError) and error.__cause__ is not None else error
    return type(named).__name__ + (f" (SQLSTATE {state})" if state else "")


def _is_outage(cause: BaseException) -> bool:
    """Return whether the database is clearly away or too busy."""
    error = _driver_error(cause)
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(_OUTAGE_CLASSES)
    if isinstance(error, sqlite3.Error):
        return any(word in str(error) for word in _SQLITE_OUTAGE)
    return True


def _driver_error(cause: BaseException) -> BaseException:
    """Return the driver's own error that SQLAlchemy wrapped, or the error itself."""
    return cause.orig if isinstance(cause, exc.StatementError) and cause.orig is not None else cause


CALM_S = (
    10.0  # a small write may succeed on a disk on which large ones fail: it is over when none has failed for this long
)
_LOG_AGAIN_S = 600.0
_DIAGNOSE_S = 5.0


@dataclass(slots=True)
class WriteState:
    """`file` is that of SQLite, None on PostgreSQL. Times are of the monotonic clock.

    `is_saving_room`: the reserve was given up, so that only failures are taken in until it is kept again.
    """

    file: Path | None = None
    reserve: Reserve | None = None
    trouble: DiskTrouble | None = None
    is_saving_room: bool = False
    written_at: float = float("-inf")
    trial: asyncio.Task[None] | None = None
    tried_at: float = float("-inf")
    _since: float = 0.0
    _failed_at: float = float("-inf")
    _logged: dict[DiskTrouble, float] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Raise Unavailable in place of an error of the database, and CannotWrite where its disk is at fault, which is noted."""
        try:
            with raise_unavailable():
                yield
        except CannotWrite as error:
            raise await self._note(error) from error.__cause__

    def refuse_routine(self) -> None:
        """Raise CannotWrite while only the room is left that is kept for failures."""
        if self.is_saving_room:
            raise CannotWrite(
                "the disk of the database is full; what room is left is kept for failures; send this again later",
                code=DiskTrouble.FULL,
            )

    def note_written(self) -> None:
        """Note that something was written. A transaction that changed nothing proves nothing."""
        self.written_at = time.monotonic()
        if self.trouble is None or self.written_at - self._failed_at < CALM_S:
            return
        log.warning("the database can be written again", after_s=round(self.written_at - self._since), was=self.trouble)
        self.trouble = None
        metrics.WRITABLE.set(1)

    async def _note(self, error: CannotWrite) -> CannotWrite:
        trouble, found_room = DiskTrouble(error.code), False
        if trouble is DiskTrouble.BROKEN and self.file is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DIAGNOSE_S):
                    found = await asyncio.to_thread(diagnose, self.file.parent, self.file)
                    trouble = found or trouble
        now = time.monotonic()
        if self.trouble is None:
            self._since = now
        self.trouble, self._failed_at = trouble, now
        metrics.WRITE_FAILURES.labels(trouble.value).inc()
        metrics.WRITABLE.set(0)
        if now - self._logged.get(trouble, float("-inf")) > _LOG_AGAIN_S:
            self._logged[trouble] = now
            cause = None if error.__cause__ is None else describe_error(error.__cause__)
            log.error(
                f"the database cannot be written: {trouble.what}; {trouble.mend}", code=trouble.value, cause=cause
            )
        if trouble in (DiskTrouble.FULL, DiskTrouble.QUOTA) and self.reserve is not None and not self.is_saving_room:
            self.is_saving_room = await asyncio.to_thread(self.reserve.give_up)
            if self.is_saving_room:
                log.warning(
                    "the room that was kept for alerts is free now; until there is more, only failures are stored"
                )
                found_room = True
        named = CannotWrite(describe_trouble(trouble), code=trouble)
        named.made_room = found_room
        return named
