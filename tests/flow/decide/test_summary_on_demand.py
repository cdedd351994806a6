"""A summary that an administrator asks for between two regular ones covers a whole period; otherwise it would list nearly every job as without a report."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.decide import summaries as decide
from app.store import summaries as store
from app.store.mail_views import read_summary_view
from app.store.tables_managed import summary_schedules
from tests.support.context import Lived, live_in


@pytest.fixture
async def lived(database_url: str, tmp_path: Path) -> AsyncIterator[Lived]:
    async with live_in(database_url, tmp_path) as lived:
        yield lived


async def test_minutes_after_the_regular_summary_the_last_night_still_counts(lived: Lived) -> None:
    lived.pass_time(hours=14)  # two in the morning
    for number in range(3):
        await lived.receive(agent=f"host{number}", job="nightly", outcome="success")
    await lived.decide()
    lived.pass_time(hours=5, minutes=5)  # five past seven
    [schedule] = await lived.rows(summary_schedules)
    async with lived.context.database.write() as tx:
        made = await decide.make_now(tx, schedule.id, lived.time[0])
    assert made is not None
    async with lived.context.database.read() as tx:
        summary = await store.find_summary(tx, made)
        assert summary is not None
        assert summary.period_end - summary.period_start == timedelta(days=1)
        view = await read_summary_view(
            tx, summary.schedule, number=1, start=summary.period_start, end=summary.period_end
        )
    assert (view.expected, view.heard, view.ok) == (3, 3, 3)
