"""Upgrades the database schema, and reports its revision. The migrations are in `migrations/`.

Alembic is imported only where there is something to upgrade: at each other start it would take a fifth of a second and 10 MiB.
"""

import asyncio
import contextlib
import sqlite3
from functools import cache
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.core.errors import Conflict, Unavailable
from app.core.settings import Settings
from app.store.database_errors import raise_unavailable
from app.store.transactions import ReadTx

_LOCK = 0x70C51  # any number, the same on every host
_CONNECT_S = 30
_FOLDER = Path(__file__).resolve().parents[2] / "migrations"
_REVISION_TABLE, _REVISION = "alembic_version", "SELECT version_num FROM alembic_version"


async def upgrade(settings: Settings) -> None:
    """Run `alembic upgrade head`. Several hosts may do so at once: the others wait for the first.

    Raises Conflict if a newer version of Tocsin made the schema, and Unavailable.
    """
    if settings.database_file is not None:
        settings.database_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if needs_upgrade(await asyncio.to_thread(_sqlite_revision, settings.database_file)):
            with raise_unavailable():
                await asyncio.to_thread(_upgrade, settings.database)
        return
    import asyncpg  # noqa: PLC0415  (on SQLite it is not imported)

    dsn = make_url(settings.database).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_S)
    except (OSError, asyncpg.PostgresError, TimeoutError) as cause:
        raise Unavailable(f"cannot connect to the database: {cause}") from cause
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        with raise_unavailable():
            has_table = await connection.fetchval("SELECT to_regclass($1)", _REVISION_TABLE) is not None
            if needs_upgrade(await connection.fetchval(_REVISION) if has_table else None):
                await asyncio.to_thread(_upgrade, settings.database)
    finally:
        await connection.close()  # releases the lock


def needs_upgrade(revision: str | None) -> bool:
    """Return whether migrations must still run on a schema of this revision. Raises Conflict if a newer version of Tocsin made it."""
    if is_newer(revision):
        raise Conflict(
            f"the database is at revision {revision}, and this version of Tocsin knows {newest_revision()} at most:"
            " a newer version upgraded it. Start that version, or restore the backup from before the upgrade",
            code="schema_is_newer",
        )
    return revision != newest_revision()


def is_newer(revision: str | None) -> bool:
    """Return whether a newer version of Tocsin made a schema of this revision. Revisions are numbers of four digits."""
    return revision is not None and revision > newest_revision()


async def revision_state(tx: ReadTx) -> tuple[str | None, str]:
    """Return (the revision of the database, the newest known revision); they differ until `upgrade` has run."""
    if not await tx.connection.run_sync(lambda connection: connection.dialect.has_table(connection, _REVISION_TABLE)):
        return None, newest_revision()
    return (await tx.connection.execute(text(_REVISION))).scalar(), newest_revision()


def _sqlite_revision(file: Path) -> str | None:
    """Return the revision of a file that nobody has opened yet; None if it is missing, empty or cannot be read."""
    if not file.exists():
        return None
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(file)) as connection:
        row = connection.execute(_REVISION).fetchone()
        return None if row is None else str(row[0])
    return None


@cache
def newest_revision() -> str:
    """Return the newest revision that this program has a migration for: the names of their files begin with them."""
    return max((file.name.partition("_")[0] for file in (_FOLDER / "versions").glob("[0-9]*.py")), default="")


def _upgrade(url: str) -> None:
    # Called in a thread, because Alembic's environment starts its own event loop.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, "head")
