"""A summary that an administrator asks for between two regular ones covers a whole period; otherwise it would list nearly every job as without a report."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.decide import summaries as decide
from app.store import summaries as store
from app.store.summary_views import read_summary_view
from app.store.tables_managed import summary_schedules
from tests.support.context import SystemUnderTest, open_system


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def test_minutes_after_the_regular_summary_the_last_night_still_counts(system: SystemUnderTest) -> None:
    system.pass_time(hours=14)  # two in the morning
    for number in range(3):
        await system.receive(agent=f"host{number}", job="nightly", outcome="success")
    await system.decide()
    system.pass_time(hours=5, minutes=5)  # five past seven
    [schedule] = await system.rows(summary_schedules)
    async with system.context.database.write() as tx:
        made = await decide.make_now(tx, schedule.id, system.time[0])
    assert made is not None
    async with system.context.database.read() as tx:
        summary = await store.find_summary(tx, made)
        assert summary is not None
        assert summary.period_end - summary.period_start == timedelta(days=1)
        view = await read_summary_view(
            tx, summary.schedule, number=1, start=summary.period_start, end=summary.period_end
        )
    assert (view.expected, view.heard, view.ok) == (3, 3, 3)
