"""Open alerts are sent again to each Alertmanager, whatever is wrong with one alert: it would end what it does not hear of again."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from app.compose import refresh
from app.compose import tick as compose
from app.store.tables import alerts, messages
from app.store.tables_managed import recipients
from tests.support.context import SystemUnderTest, open_system


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path, log_level="error") as system:
        yield system


async def test_an_alert_that_cannot_be_read_keeps_no_other_from_being_refreshed(system: SystemUnderTest):
    to = {"transport": "alertmanager", "address": "http://am.example.org:9093"}
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(recipients).values(transports=[to]))
    for job in "abc":
        await system.receive(job=job, outcome="failure")
    await system.decide()
    system.pass_time(minutes=2)
    await compose.tick(system.context)
    broken = (await system.rows(alerts))[1].id
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(alerts).where(alerts.c.id == broken).values(severity="dire"))
    await refresh.tick(system.context)
    [row] = await system.mails(~messages.c.is_alert)
    sent = {one["id"] for one in json.loads(row.webhook)["data"]["alerts"]}
    assert sent == {one.id for one in await system.rows(alerts)} - {broken}
