"""The measurement of held writers counts what a transaction costs, here and in PostgreSQL, and not what it waits for."""

import asyncio
from pathlib import Path

from sqlalchemy import text

from tests.support.context import open_system
from tests.support.write_hold import measured_holds

COUNT = text("""
    WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 300000)
    SELECT count(*) FROM counted
""")


async def test_a_slow_statement_counts_and_a_wait_does_not(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        database = system.context.database
        async with database.write() as tx:
            await tx.connection.execute(text("SELECT 1"))
        with measured_holds() as holds:
            async with database.write():
                await asyncio.sleep(0.3)
            async with database.write() as tx:
                await tx.connection.execute(COUNT)
            async with database.read() as tx:
                await tx.connection.execute(COUNT)
    waited, counted = (hold.cpu_s for hold in holds.seen)
    assert waited < 0.1
    assert counted == holds.longest_s > 0.03
