"""Runs the migrations on the database of the settings, or on the address given as `sqlalchemy.url`."""

import asyncio
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, event, pool
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

import app.store.tables_managed  # noqa: F401  (its tables are in the metadata too)
from app.core.settings import load_settings
from app.store.tables_managed import metadata
from app.store.types import Json, Utc


def render_item(kind: str, item: object, autogen_context: AutogenContext) -> str | Literal[False]:
    """Write our column types by name: what autogenerate makes of a JSON variant does not import."""
    if kind == "type" and (isinstance(item, Utc) or item is Json):
        autogen_context.imports.add("from app.store.types import Json, Utc")
        return "Utc()" if isinstance(item, Utc) else "Json"
    return False


def migrate(connection: Connection) -> None:
    """Run within one transaction; SQLite alters tables by copying them (batch)."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        render_item=render_item,
    )
    with context.begin_transaction():
        context.run_migrations()


def begin_before_ddl(engine: AsyncEngine) -> None:
    """Send BEGIN ourselves: the driver creates and alters tables outside of its transactions. A crash during a migration then left
    half of it, and every later start failed.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def leave_it_to_us(connection: Any, _record: object) -> None:  # noqa: ANN401
        connection.isolation_level = None

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


async def main() -> None:
    """Connect and migrate."""
    url = context.config.get_main_option("sqlalchemy.url") or load_settings().database
    engine = create_async_engine(url, poolclass=pool.NullPool, hide_parameters=True)
    if engine.dialect.name == "sqlite":
        begin_before_ddl(engine)
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


if context.is_offline_mode():
    raise SystemExit("offline migrations are not supported: both databases are migrated in place")
asyncio.run(main())
