"""An alert that no route leads to anybody is counted for `tocsin doctor` until somebody has it."""

from pathlib import Path

from sqlalchemy import update

from app.store.monitoring import count_alerts_to_nobody
from app.store.tables import alerts
from app.store.tables_managed import routes
from tests.support.context import SystemUnderTest, open_system


async def to_nobody(system: SystemUnderTest) -> int:
    async with system.context.database.read() as tx:
        return await count_alerts_to_nobody(tx)


async def test_an_alert_without_a_route_is_counted_until_it_is_acknowledged(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        await system.receive(job="files", phase="finished", outcome="failure")
        await system.decide()
        assert await to_nobody(system) == 0
        async with system.context.database.write() as tx:
            await tx.connection.execute(update(routes).values(enabled=False))
        await system.receive(job="db", phase="finished", outcome="failure")
        await system.decide()
        assert await to_nobody(system) == 1
        async with system.context.database.write() as tx:
            await tx.connection.execute(update(alerts).values(acknowledged_at=system.time[0]))
        assert await to_nobody(system) == 0
