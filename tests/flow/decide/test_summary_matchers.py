"""A summary's matchers mean the same in SQL as they mean to a route, on both databases."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.matcher import Comparison, Matcher
from app.store.summaries import SUMMARY_SCHEDULES
from app.store.summary_views import read_summary_view
from app.store.tables_managed import summary_schedules
from tests.support.context import SystemUnderTest, open_system

MATCHERS = [
    (Matcher("job", Comparison.IS, "ÄRZTE-Größe"), 1),
    (Matcher("job", Comparison.IS_NOT, "ärzte-größe"), 1),
    (Matcher("job", Comparison.LIKE, "ärzte-*"), 1),
    (Matcher("label:ort", Comparison.IS, "КИЕВ"), 1),
    (Matcher("job", Comparison.LIKE, "*_100%"), 1),
    (Matcher("label:ort", Comparison.IS, ""), 1),
]


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def test_case_does_not_matter_in_any_alphabet(system: SystemUnderTest) -> None:
    await system.receive(job="Ärzte-GRÖßE", outcome="success", labels={"ort": "Киев"})
    await system.receive(job="full_100%", outcome="success")
    await system.decide()
    [row] = await system.rows(summary_schedules)
    now = system.pass_time(minutes=1)
    async with system.context.database.read() as tx:
        schedule = await SUMMARY_SCHEDULES.get(tx, row.id)
        for matcher, wanted in MATCHERS:
            one = replace(schedule, matchers=(matcher,))
            view = await read_summary_view(tx, one, number=1, start=now - timedelta(days=1), end=now)
            assert view.jobs == wanted, matcher
