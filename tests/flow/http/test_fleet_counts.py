"""What pages count of customers: the same numbers as in their summaries, and the days of their strips."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.decide import summaries as decide
from app.domain.job_status import total_of
from app.store import summaries as store
from app.store.customers import CUSTOMERS
from app.store.fleet import count_states, customer_days
from app.store.repository import Window
from app.store.summary_views import read_summary_view
from app.store.tables_managed import summary_schedules
from tests.support.context import SystemUnderTest, open_system


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def test_the_counts_of_the_page_are_those_of_the_summary(system: SystemUnderTest) -> None:
    for number in range(3):
        await system.receive(agent=f"ok{number}", job="nightly", outcome="success")
    await system.receive(agent="f", job="nightly", outcome="failure", message="disk full")
    await system.receive(agent="w", job="nightly", outcome="warning")
    await system.receive(agent="w", job="only-cancelled", outcome="cancelled")
    await system.receive(agent="starts", job="nightly", phase="started")
    await system.decide()
    system.pass_time(hours=1)
    [schedule] = await system.rows(summary_schedules)
    async with system.context.database.write() as tx:
        made = await decide.make_now(tx, schedule.id, system.time[0])
    assert made is not None
    async with system.context.database.read() as tx:
        summary = await store.find_summary(tx, made)
        assert summary is not None
        period = {"start": summary.period_start, "end": summary.period_end}
        view = await read_summary_view(tx, summary.schedule, number=1, **period)
        counted = await count_states(tx, None, system.time[0])
    total = total_of(one.counts for one in counted)
    assert (total.failed, total.missed, total.warning, total.ok, total.new) == (
        view.failed, view.missed, view.warnings, view.ok, view.new,
    )  # fmt: skip
    assert (total.failed, total.warning, total.ok) == (1, 1, 3)


async def test_only_the_customers_that_may_be_seen_are_counted(system: SystemUnderTest) -> None:
    await system.receive(agent="a", job="nightly", outcome="success")
    await system.decide()
    async with system.context.database.read() as tx:
        assert await count_states(tx, (), system.time[0]) == []
        [one] = await count_states(tx, None, system.time[0])
        assert [it.id for it in await count_states(tx, [one.id], system.time[0])] == [one.id]


async def test_a_day_shows_its_worst_and_a_day_without_reports_is_not_good(system: SystemUnderTest) -> None:
    today = system.time[0].date()
    for ago, outcomes in ((3, ["success", "failure"]), (2, ["success", "success"]), (0, ["warning", "success"])):
        for number, outcome in enumerate(outcomes):
            at = system.time[0] - timedelta(days=ago, minutes=5)
            await system.receive(agent=f"host{number}", job="nightly", outcome=outcome, occurred_at=at)
    await system.decide()
    async with system.context.database.read() as tx:
        [customer] = (await CUSTOMERS.page(tx, [], Window(5))).items
        days = (await customer_days(tx, [customer.id], today, 5))[customer.id]
    assert [day.word for day in days] == ["none", "failed", "ok", "none", "warning"]
    assert days[1].failed == 1
    assert [day.day for day in days] == [today - timedelta(days=back) for back in range(4, -1, -1)]
