"""Classifies database errors: the data is at fault, or the database. An outage must never be blamed on an event."""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator

import asyncpg
from sqlalchemy import exc

from app.core.disk import DiskTrouble, trouble_of
from app.core.errors import CannotWrite, Unavailable
from app.core.log import log

# asyncpg raises the last one for a statement on a connection that the server is closing at the same moment.
POSTGRES_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
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


@contextlib.contextmanager
def raise_unavailable() -> Iterator[None]:
    """Raise Unavailable in place of any database error that is not the data's fault: the same work may succeed later.

    That includes errors that look like a wrong statement: a read-only standby or an unfinished migration must not cost an event.
    """
    try:
        yield
    except (exc.SQLAlchemyError, *POSTGRES_ERRORS, sqlite3.Error, OSError, TimeoutError) as cause:
        is_database_error = isinstance(cause, (exc.DBAPIError, *POSTGRES_ERRORS, sqlite3.Error))
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
        return _TROUBLE_BY_STATE.get(state) or next(by_text, None)
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
