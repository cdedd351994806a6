"""Finds out whether the address of PostgreSQL leads to a pooler that shares its connections between clients, such as PgBouncer in transaction mode.

Through one, notifications (LISTEN), advisory locks and prepared statements do not work, because each transaction may run in another session.
"""

from typing import TYPE_CHECKING

from app.core.errors import BadSettings
from app.store.database_errors import connection_errors
from app.store.engine import Engines, dsn_of

if TYPE_CHECKING:
    import asyncpg

_PATIENCE_S = 10.0
SHARED = (
    "TOCSIN_DATABASE_URL leads to a pooler that shares its connections between clients, such as PgBouncer in transaction mode: notifications "
    "(LISTEN), advisory locks and prepared statements do not work through it; connect to PostgreSQL itself, or use the session mode"
)


async def refuse_shared_sessions(engines: Engines) -> None:
    """Raise BadSettings if two connections that are open at the same time have the same session of PostgreSQL. Does nothing on SQLite.

    What cannot be connected is reported by the first query instead.
    """
    if engines.is_sqlite:
        return
    try:
        is_shared = await shares_sessions(dsn_of(engines))
    except connection_errors():
        return
    if is_shared:
        raise BadSettings(SHARED)


async def shares_sessions(dsn: str) -> bool:
    """Return whether two connections that are open at the same time ran their transactions in the same session."""
    import asyncpg  # noqa: PLC0415  (on SQLite it is not imported)

    first = await asyncpg.connect(dsn, timeout=_PATIENCE_S, statement_cache_size=0)
    try:
        second = await asyncpg.connect(dsn, timeout=_PATIENCE_S, statement_cache_size=0)
        try:
            return await _session_of(first) == await _session_of(second)
        finally:
            second.terminate()
    finally:
        first.terminate()  # a close would wait for a session that may be another's by now


async def _session_of(connection: "asyncpg.Connection") -> int:
    async with connection.transaction():
        found: int = await connection.fetchval("SELECT pg_backend_pid()", timeout=_PATIENCE_S)
    return found
