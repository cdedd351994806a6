"""Says of a database error whose fault it is: the data's, or the database's. It must not blame an event for an outage."""

import contextlib
import sqlite3
from collections.abc import Iterator

import asyncpg
from sqlalchemy import exc

from app.core.errors import Unavailable
from app.core.log import log

# The last one asyncpg raises for a statement that meets a connection just as the server's last words arrive on it.
POSTGRES_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_SQLITE_AWAY = ("locked", "busy", "disk", "full", "unable to open", "I/O", "readonly")
# SQLSTATE classes: connection, serialisation and deadlock, insufficient resources, operator intervention, system error.
_AWAY_CLASSES = ("08", "40", "53", "57", "58")
# SQLSTATE classes: data exception, integrity constraint violation, program limit exceeded (a row that is too big).
_DATA_CLASSES = ("22", "23", "54")
_SQLITE_DATA = ("too big", "binding parameter", "malformed JSON")
_AWAY_OTHERWISE = (exc.TimeoutError, exc.DisconnectionError, OSError, TimeoutError)


@contextlib.contextmanager
def telling_away() -> Iterator[None]:
    """Raise Unavailable in place of any error of the database that is no fault of the data: the same may succeed later.

    A standby that only reads or a migration half way must not cost an event; both look like a fault in the statement.
    """
    try:
        yield
    except (exc.SQLAlchemyError, *POSTGRES_ERRORS, sqlite3.Error, OSError, TimeoutError) as cause:
        if not is_away(cause):
            raise
        if not _is_outage(cause):  # then it may be a defect of ours, and nobody would hear of it
            log.error("the database refuses to work, though it can be reached", cause=told_of(cause))
        raise Unavailable("the database cannot be reached, is too busy or refuses to work; try again") from cause


def is_away(cause: BaseException) -> bool:
    """Say whether the same work may succeed later without anybody changing it: a database's error, and none of the data's."""
    if isinstance(cause, (exc.DBAPIError, *POSTGRES_ERRORS, sqlite3.Error)):
        return not is_fault_of_data(cause)
    return isinstance(cause, _AWAY_OTHERWISE)


def is_fault_of_data(cause: BaseException) -> bool:
    """Say whether the values handed over are at fault: the database took the statement and refuses what is in it.

    Nothing else may cost an event its place: not an outage, not a missing table, not a defect in our code.
    """
    error = cause.orig if isinstance(cause, exc.StatementError) and cause.orig is not None else cause
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(_DATA_CLASSES)
    if isinstance(error, sqlite3.Error):
        return isinstance(error, sqlite3.IntegrityError | sqlite3.DataError) or any(
            word in str(error) for word in _SQLITE_DATA
        )
    return isinstance(error, UnicodeEncodeError | OverflowError)  # a driver cannot write the value down


def told_of(cause: BaseException) -> str:
    """Name an error without the values that the driver quotes: they are a customer's, and logs are read by many."""
    error = cause.orig if isinstance(cause, exc.StatementError) and cause.orig is not None else cause
    if isinstance(error, sqlite3.Error):
        return f"{type(error).__name__}: {error}"
    state = getattr(error, "sqlstate", None)
    named = error.__cause__ if isinstance(cause, exc.DBAPIError) and error.__cause__ is not None else error
    return type(named).__name__ + (f" (SQLSTATE {state})" if state else "")


def _is_outage(cause: BaseException) -> bool:
    """Say whether it is plain that the database is away or too busy."""
    error = cause.orig if isinstance(cause, exc.StatementError) and cause.orig is not None else cause
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(_AWAY_CLASSES)
    if isinstance(error, sqlite3.Error):
        return any(word in str(error) for word in _SQLITE_AWAY)
    return True
