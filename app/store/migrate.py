"""Upgrades the database schema, and reports its revision. The migrations are in `migrations/`."""

import asyncio
from functools import cache
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url

from app.core.errors import Unavailable
from app.core.settings import Settings
from app.store.database_errors import raise_unavailable
from app.store.transactions import ReadTx

_LOCK = 0x70C51  # any number, the same on every host
_CONNECT_S = 30
_FOLDER = Path(__file__).resolve().parents[2] / "migrations"


async def upgrade(settings: Settings) -> None:
    """Run `alembic upgrade head`. Several hosts may do so at once: the others wait for the first. Raises Unavailable."""
    if settings.database_file is not None:
        settings.database_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with raise_unavailable():
            await asyncio.to_thread(_upgrade, settings.database)
        return
    dsn = make_url(settings.database).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_S)
    except (OSError, asyncpg.PostgresError, TimeoutError) as cause:
        raise Unavailable(f"cannot connect to the database: {cause}") from cause
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        with raise_unavailable():
            await asyncio.to_thread(_upgrade, settings.database)
    finally:
        await connection.close()  # releases the lock


async def revision_state(tx: ReadTx) -> tuple[str | None, str]:
    """Return (the revision of the database, the newest known revision); they differ until `upgrade` has run."""
    current = await tx.connection.run_sync(
        lambda connection: MigrationContext.configure(connection).get_current_revision()
    )
    return current, newest_revision()


def _upgrade(url: str) -> None:
    # Called in a thread, because Alembic's environment starts its own event loop.
    config = _config()
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, "head")


@cache
def newest_revision() -> str:
    """Return the newest revision that this program has a migration for."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    return config
