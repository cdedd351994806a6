"""An alert that no route leads to anybody is counted for `tocsin doctor` until somebody has it."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import update

from app.core.ids import new_id
from app.domain.route import Silence
from app.store.monitoring import count_alerts_to_nobody
from app.store.routing import SILENCES
from app.store.tables import alerts
from app.store.tables_managed import routes
from tests.support.context import SystemUnderTest, open_system


async def to_nobody(system: SystemUnderTest, seen: tuple[str, ...] | None = None) -> int:
    async with system.context.database.read() as tx:
        return await count_alerts_to_nobody(tx, seen)


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


async def test_alerts_of_customers_whom_somebody_may_not_see_are_not_counted(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        async with system.context.database.write() as tx:
            await tx.connection.execute(update(routes).values(recipients=[]))
        await system.receive(job="files", phase="finished", outcome="failure")
        await system.decide()
        assert await to_nobody(system, (system.customer_id,)) == 1
        assert await to_nobody(system, ("cus_of_others",)) == 0
        assert await to_nobody(system, ()) == 0


async def test_a_silenced_alert_is_not_counted(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        async with system.context.database.write() as tx:
            await tx.connection.execute(update(routes).values(enabled=False))
        at = system.time[0]
        until = at + timedelta(hours=4)
        silence = Silence(new_id("sil"), (), at, until, "a new disk", "kim", created_at=at)
        async with system.context.database.write() as tx:
            await SILENCES.insert(tx, silence)
        await system.receive(job="files", phase="finished", outcome="failure")
        await system.decide()
        assert await to_nobody(system) == 0
