"""Says of a database error whether the database is away. It must not call a fault in our data an outage, nor the reverse."""

import contextlib
import sqlite3
from collections.abc import Iterator

import asyncpg
from sqlalchemy import exc

from app.base.errors import Unavailable

# The last one asyncpg raises for a statement that meets a connection just as the server's last words arrive on it.
POSTGRES_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_SQLITE_AWAY = ("locked", "busy", "disk", "full", "unable to open", "I/O", "readonly")
# SQLSTATE classes: connection, serialisation and deadlock, insufficient resources, operator intervention, system error.
_AWAY_CLASSES = ("08", "40", "53", "57", "58")
_ALWAYS_AWAY = (exc.TimeoutError, exc.DisconnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


@contextlib.contextmanager
def telling_away() -> Iterator[None]:
    """Raise Unavailable in place of any error that means: nothing is wrong with the request, try again later."""
    try:
        yield
    except (exc.SQLAlchemyError, *POSTGRES_ERRORS, sqlite3.OperationalError, OSError, TimeoutError) as cause:
        if not is_away(cause):
            raise
        raise Unavailable("the database cannot be reached or is too busy; try again") from cause


def is_away(cause: BaseException) -> bool:
    """Say whether the same work may succeed later without anybody changing it."""
    match cause:
        case exc.DBAPIError():
            state = getattr(cause.orig, "sqlstate", None)
            if isinstance(state, str):
                return state.startswith(_AWAY_CLASSES)
            # asyncpg's InterfaceError is a closed connection. SQLite says OperationalError for a fault in a statement too.
            return (
                cause.connection_invalidated
                or isinstance(cause, exc.InterfaceError)
                or any(word in str(cause.orig) for word in _SQLITE_AWAY)
            )
        case sqlite3.OperationalError():
            return any(word in str(cause) for word in _SQLITE_AWAY)
        case asyncpg.PostgresError():
            return str(cause.sqlstate).startswith(_AWAY_CLASSES)
        case _:
            return isinstance(cause, _ALWAYS_AWAY)
