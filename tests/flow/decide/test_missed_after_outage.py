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
from tests.support.context import Lived, live_in


@pytest.fixture
async def lived(database_url: str, tmp_path: Path) -> AsyncIterator[Lived]:
    async with live_in(database_url, tmp_path) as lived:
        yield lived


async def beat(lived: Lived) -> None:
    async with lived.context.database.write() as tx:
        await note_listening(tx, lived.time[0])


async def look(lived: Lived) -> list[str]:
    """Run the clock, decide on its events, and return which alerts are open."""
    await missed.tick(lived.context)
    while await decide.tick(lived.context):
        pass
    return [alert.kind for alert in await lived.rows(alerts, alerts.c.closed_at.is_(None))]


async def expect_hourly(lived: Lived) -> None:
    await lived.receive(job="db", outcome="success")
    while await decide.tick(lived.context):
        pass
    due = lived.time[0] + timedelta(hours=1)
    stored = {"cron": None, "period_s": 3600, "time_zone": "UTC", "grace_s": 60, "longest_s": None}
    async with lived.context.database.write() as tx:
        overdue = {"next_due_at": due, "overdue_at": due + timedelta(minutes=1)}
        await tx.connection.execute(update(jobs).values(expectation=stored, **overdue))


async def test_a_run_of_the_outage_that_is_sent_again_is_never_reported_missed(lived: Lived) -> None:
    await beat(lived)
    await expect_hourly(lived)
    lived.pass_time(hours=3)
    assert await look(lived) == [], "back, and no worker has noted it yet"
    await beat(lived)
    assert await look(lived) == []
    lived.pass_time(minutes=2)
    await beat(lived)
    await lived.receive(job="db", outcome="success", occurred_at=lived.time[0] - timedelta(minutes=40))
    assert await look(lived) == []
    for _ in range(5):
        lived.pass_time(minutes=1)
        await beat(lived)
        assert await look(lived) == []


async def test_a_run_that_is_not_sent_again_is_missed_five_minutes_later(lived: Lived) -> None:
    await beat(lived)
    await expect_hourly(lived)
    lived.pass_time(hours=3)
    seen = []
    for _ in range(6):
        await beat(lived)
        seen.append(await look(lived))
        lived.pass_time(minutes=1)
    assert seen == [[], [], [], [], [], ["missed"]]


async def test_without_an_outage_a_slot_is_judged_at_once(lived: Lived) -> None:
    await expect_hourly(lived)
    for _ in range(63):
        await beat(lived)
        assert await look(lived) == []
        lived.pass_time(seconds=59)
    await beat(lived)
    assert await look(lived) == ["missed"]
