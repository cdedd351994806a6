"""Each test gets a migrated database of its own, on both engines."""

import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.support.migrated import migrate


async def tables_and_mark(url: str) -> set[str]:
    """Return the tables, and create one that no other test may see."""

    def look(connection: Connection) -> set[str]:
        found = set(inspect(connection).get_table_names())
        connection.execute(text("CREATE TABLE left_behind (n INTEGER)"))
        return found

    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        found = await connection.run_sync(look)
    await engine.dispose()
    return found


@pytest.mark.parametrize("turn", [1, 2])
async def test_is_migrated_and_fresh_each_time(database_url: str, turn: int):
    found = await tables_and_mark(database_url)
    assert "alembic_version" in found
    assert len(found) > 1
    assert "left_behind" not in found


async def test_migrating_again_changes_nothing(database_url: str):
    migrate(database_url)
    assert "alembic_version" in await tables_and_mark(database_url)
