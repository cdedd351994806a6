"""Which jobs a summary lists as without a report before any slot was judged: never a job that need not have run yet."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.admin.editing import Editor
from app.admin.jobs import dismiss_job_expectation, update_job
from app.compose import summary_mail
from app.compose.summary_subject import tone_of
from app.domain.mail_views import SummaryView
from app.store.row_mapping import expectation_of
from app.store.summaries import SUMMARY_SCHEDULES
from app.store.summary_views import read_summary_view
from app.store.tables import jobs
from app.store.tables_managed import summary_schedules
from tests.support.context import SystemUnderTest, open_system

DAY = timedelta(days=1)
SUNDAY = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
ADMIN = Editor("key_admin", SUNDAY, lambda _stage: None)


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        system.time[0] = SUNDAY
        yield system


async def ran(system: SystemUnderTest, *days: int, job: str = "weekly", **more: Any) -> str:
    """Report a run of the job at two in the morning, so many days from that Sunday; return its id."""
    for day in days:
        system.time[0] = SUNDAY + day * DAY
        await system.receive(job=job, outcome="success", **more)
        await system.decide()
    [row] = await system.rows(jobs, jobs.c.name == job)
    return str(row.id)


async def summary_of(system: SystemUnderTest, day: int, length: timedelta = DAY) -> SummaryView:
    """Return the summary of seven in the morning, so many days from that Sunday."""
    system.time[0] = end = SUNDAY + day * DAY + timedelta(hours=5)
    await system.decide()
    [row] = await system.rows(summary_schedules)
    async with system.context.database.read() as tx:
        schedule = await SUMMARY_SCHEDULES.get(tx, row.id)
        return await read_summary_view(tx, schedule, number=1, start=end - length, end=end)


async def expect(system: SystemUnderTest, job_id: str, expectation: dict[str, Any]) -> None:
    by = Editor(ADMIN.who, system.time[0], ADMIN.wake)
    async with system.context.database.write() as tx:
        await update_job(tx, job_id, lambda job: replace(job, expectation=expectation_of(expectation)), by)


async def test_a_weekly_job_without_expectation_is_not_expected_on_the_next_morning(system: SystemUnderTest) -> None:
    await ran(system, 0)
    heard = await summary_of(system, 0)
    assert (heard.expected, heard.heard) == (1, 1)
    quiet = await summary_of(system, 1)
    assert (quiet.expected, quiet.heard, quiet.without_expectation) == (0, 0, 1)
    assert tone_of(quiet) == "none"
    assert "without a report" not in summary_mail.render(quiet, base_url="http://here").text


async def test_a_weekly_summary_expects_no_monthly_job(system: SystemUnderTest) -> None:
    await ran(system, 0)
    quiet = await summary_of(system, 8, 7 * DAY)
    assert (quiet.expected, quiet.heard) == (0, 0)


async def test_a_job_that_is_expected_later_is_not_expected_now(system: SystemUnderTest) -> None:
    job_id = await ran(system, 0)
    await expect(
        system, job_id, {"cron": "0 2 * * 0", "period_s": None, "time_zone": "UTC", "grace_s": 3600, "longest_s": None}
    )
    quiet = await summary_of(system, 1)
    assert (quiet.expected, quiet.heard) == (0, 0)
    due = await summary_of(system, 7)
    assert (due.expected, due.heard, due.missed) == (1, 0, 1)


async def test_a_weekly_job_just_learned_is_not_expected_on_the_next_morning(system: SystemUnderTest) -> None:
    await ran(system, *range(0, 35, 7))
    [job] = await system.rows(jobs)
    assert job.proposed_expectation is not None
    quiet = await summary_of(system, 29)
    assert (quiet.expected, quiet.heard) == (0, 0)


async def test_a_weekly_job_whose_tool_announced_its_next_run_is_not_expected_earlier(system: SystemUnderTest) -> None:
    await ran(system, 0, extra={"expects": {"next": (SUNDAY + 7 * DAY).isoformat()}})
    quiet = await summary_of(system, 1)
    assert (quiet.expected, quiet.heard) == (0, 0)


async def test_a_dismissed_job_is_not_expected_though_it_came_daily(system: SystemUnderTest) -> None:
    job_id = await ran(system, 0, 1)
    async with system.context.database.write() as tx:
        await dismiss_job_expectation(tx, job_id, ADMIN)
    quiet = await summary_of(system, 2)
    assert (quiet.expected, quiet.heard) == (0, 0)


async def test_a_job_that_came_on_two_days_and_then_stopped_is_listed_before_anything_was_learned(
    system: SystemUnderTest,
) -> None:
    await ran(system, 0, 1, job="nightly")
    quiet = await summary_of(system, 2)
    assert (quiet.expected, quiet.heard, tone_of(quiet)) == (1, 0, "missed")
    assert "1 expected job without a report" in summary_mail.render(quiet, base_url="http://here").text


async def test_a_job_of_every_other_day_is_not_expected_on_the_days_between(system: SystemUnderTest) -> None:
    await ran(system, 0, 2)
    quiet = await summary_of(system, 3)
    assert (quiet.expected, quiet.heard) == (0, 0)
