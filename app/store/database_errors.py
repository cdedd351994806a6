"""Classifies database errors: the data is at fault, or the database. An outage must never be blamed on an event."""

import contextlib
import sqlite3
from collections.abc import Iterator

import asyncpg
from sqlalchemy import exc

from app.core.errors import Unavailable
from app.core.log import log

# asyncpg raises the last one for a statement on a connection that the server is closing at the same moment.
POSTGRES_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_SQLITE_OUTAGE = ("locked", "busy", "disk", "full", "unable to open", "I/O", "readonly")
# SQLSTATE classes: connection, serialisation and deadlock, insufficient resources, operator intervention, system error.
_OUTAGE_CLASSES = ("08", "40", "53", "57", "58")
# SQLSTATE classes: data exception, integrity constraint violation, program limit exceeded (a row that is too big).
_DATA_CLASSES = ("22", "23", "54")
_SQLITE_DATA = ("too big", "binding parameter", "malformed JSON")
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
        if not _is_outage(cause):  # then it may be a bug of ours, which nobody would notice without this log entry
            log.error("the database refuses to work, though it can be reached", cause=describe_error(cause))
        raise Unavailable("the database cannot be reached, is too busy or refuses to work; try again") from cause


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
