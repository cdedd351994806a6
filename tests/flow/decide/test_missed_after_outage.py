"""After an outage of ours nothing is reported missed before agents had time to send again."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from app.decide import missed
from app.decide import tick as decide
from app.store.heartbeats import note_listening
from app.store.tables import alerts, jobs
from tests.support.context import SystemUnderTest, open_system


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def beat(system: SystemUnderTest) -> None:
    async with system.context.database.write() as tx:
        await note_listening(tx, system.time[0])


async def look(system: SystemUnderTest) -> list[str]:
    """Run the clock, decide on its events, and return which alerts are open."""
    await missed.tick(system.context)
    while await decide.tick(system.context):
        pass
    return [alert.kind for alert in await system.rows(alerts, alerts.c.closed_at.is_(None))]


async def expect_hourly(system: SystemUnderTest) -> None:
    await system.receive(job="db", outcome="success")
    while await decide.tick(system.context):
        pass
    due = system.time[0] + timedelta(hours=1)
    stored = {"cron": None, "period_s": 3600, "time_zone": "UTC", "grace_s": 60, "longest_s": None}
    async with system.context.database.write() as tx:
        overdue = {"next_due_at": due, "overdue_at": due + timedelta(minutes=1)}
        await tx.connection.execute(update(jobs).values(expectation=stored, **overdue))


async def test_a_run_of_the_outage_that_is_sent_again_is_never_reported_missed(system: SystemUnderTest) -> None:
    await beat(system)
    await expect_hourly(system)
    system.pass_time(hours=3)
    assert await look(system) == [], "back, and no worker has noted it yet"
    await beat(system)
    assert await look(system) == []
    system.pass_time(minutes=2)
    await beat(system)
    await system.receive(job="db", outcome="success", occurred_at=system.time[0] - timedelta(minutes=40))
    assert await look(system) == []
    for _ in range(5):
        system.pass_time(minutes=1)
        await beat(system)
        assert await look(system) == []


async def test_a_run_that_is_not_sent_again_is_missed_five_minutes_later(system: SystemUnderTest) -> None:
    await beat(system)
    await expect_hourly(system)
    system.pass_time(hours=3)
    seen = []
    for _ in range(6):
        await beat(system)
        seen.append(await look(system))
        system.pass_time(minutes=1)
    assert seen == [[], [], [], [], [], ["missed"]]


async def test_without_an_outage_a_slot_is_judged_at_once(system: SystemUnderTest) -> None:
    await expect_hourly(system)
    for _ in range(63):
        await beat(system)
        assert await look(system) == []
        system.pass_time(seconds=59)
    await beat(system)
    assert await look(system) == ["missed"]
