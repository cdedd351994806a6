"""Statistics of PostgreSQL that are out of date: in the first night of a new database, and when a backlog comes where nothing waited."""

from pathlib import Path

from sqlalchemy import insert, text

from app.core.ids import new_id
from app.decide import tick as decide
from app.store.tables import events
from tests.support.context import SystemUnderTest, open_system

EVENTS = 600


async def test_deciding_reads_no_whole_table_while_postgres_counts_it_as_empty(
    postgres_database_url: str, tmp_path: Path
) -> None:
    async with open_system(postgres_database_url, tmp_path, log_level="error") as system:
        async with system.context.database.read() as tx:
            await tx.connection.exec_driver_sql("COMMIT")  # VACUUM runs outside a transaction
            await tx.connection.exec_driver_sql("VACUUM ANALYZE")
        for _ in range(8):  # PostgreSQL makes a plan that it keeps at the sixth call
            await _receive(system, 3)
            await _decide(system)
        await _receive(system, EVENTS)
        await _decide(system)
        await system.context.database.engines.writer.dispose()  # a connection reports what it has read when it ends
        async with system.context.database.read() as tx:
            found = await tx.connection.execute(
                text(
                    "SELECT relname, seq_tup_read FROM pg_stat_user_tables WHERE relname IN ('events', 'runs', 'jobs')"
                )
            )
            read = {row.relname: row.seq_tup_read for row in found}
    assert all(rows < 10 * EVENTS for rows in read.values()), read


async def test_a_backlog_is_claimed_in_order_where_the_statistics_know_of_nothing_that_waits(
    postgres_database_url: str, tmp_path: Path
) -> None:
    async with open_system(postgres_database_url, tmp_path, log_level="error") as system:
        await _receive(system, 4_000, state="folded")
        async with system.context.database.read() as tx:
            await tx.connection.exec_driver_sql("COMMIT")
            await tx.connection.exec_driver_sql("VACUUM ANALYZE")
        for number in range(100):
            await _receive(system, 20, agent=f"host{number}")
        await decide.tick(system.context)
        await system.context.database.engines.writer.dispose()
        async with system.context.database.read() as tx:
            index = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'ix_events_new'"
            read = (await tx.connection.execute(text(index))).scalar_one()
    assert (
        read < 100 * 20
    )  # 64 000 where each look reads all that waits, 10 593 where that for the first events of each agent does


async def _decide(system: SystemUnderTest) -> None:
    while await decide.tick(system.context):
        pass


async def _receive(system: SystemUnderTest, number: int, *, agent: str = "sql01", state: str = "new") -> None:
    agent_id = await system.agent(agent)
    at = system.time[0]
    common = {
        "customer_id": system.customer_id,
        "agent_id": agent_id,
        "activity": "backup",
        "severity": "info",
        "state": state,
    }
    rows = [
        {"id": (own := new_id("evt")), "key": own, "job": f"job {own}", "run": own, "outcome": "success", **common}
        for _ in range(number)
    ]
    async with system.context.database.write() as tx:
        await tx.connection.execute(insert(events), [{**row, "occurred_at": at, "received_at": at} for row in rows])
