"""What a summary tells of its period: a month's tells how the month went, and one that is worded late does not tell today's state."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.compose import summary_mail
from app.domain.mail_views import JobLine, SummaryView
from app.store.summaries import SUMMARY_SCHEDULES
from app.store.summary_views import read_summary_view
from app.store.tables_managed import summary_schedules
from tests.support.context import SystemUnderTest, open_system

DAY = timedelta(days=1)
OCTOBER, NOVEMBER = datetime(2026, 10, 1, 7, tzinfo=UTC), datetime(2026, 11, 1, 7, tzinfo=UTC)
GIB = 1024**3


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def run(system: SystemUnderTest, at: datetime, outcome: str = "success", job: str = "db", gib: int = 10) -> None:
    system.time[0] = at
    amounts = {"bytes_processed": gib * GIB, "duration_s": 60.0 * gib}
    await system.receive(job=job, outcome=outcome, metrics=amounts, message=f"{outcome} of {at:%d %b}")
    await system.decide()


async def view_of(system: SystemUnderTest, start: datetime, end: datetime) -> SummaryView:
    [row] = await system.rows(summary_schedules)
    async with system.context.database.read() as tx:
        schedule = await SUMMARY_SCHEDULES.get(tx, row.id)
        return await read_summary_view(tx, schedule, number=1, start=start, end=end)


def lines_of(view: SummaryView) -> dict[str, list[JobLine]]:
    return {section.title: list(section.lines) for section in view.sections}


def text_of(view: SummaryView) -> str:
    return " ".join(summary_mail.render(view, base_url="http://here").text.split())


async def test_a_summary_of_a_month_counts_what_failed_early_in_it(system: SystemUnderTest) -> None:
    night = OCTOBER.replace(hour=2)
    for day in range(1, 32):
        await run(system, night + day * DAY, "failure" if day in (2, 3, 4) else "success")
    system.time[0] = NOVEMBER
    view = await view_of(system, OCTOBER, NOVEMBER)
    assert view.runs is not None
    assert (view.ok, view.runs.successes, view.runs.failures) == (1, 28, 3)
    [line] = lines_of(view)["recovered"]
    assert (line.failures, line.missed) == (3, 0)
    assert [cell.day.day for cell in line.strip] == [*range(2, 32), 1]
    assert "".join(cell.word[0] for cell in line.strip) == "offf" + "o" * 27
    mail = summary_mail.render(view, base_url="http://here")
    assert mail.subject == "Backups October 2026: 1 ok; 3 failed runs in the period (no. 1)"
    assert "Runs in the period: 28 ok, 3 failed." in text_of(view)
    assert "3 failed runs in the period" in text_of(view)
    assert "The letters are the last 31 days" in text_of(view)


async def test_a_summary_of_a_day_has_two_weeks_and_does_not_count_runs(system: SystemUnderTest) -> None:
    await run(system, NOVEMBER - timedelta(hours=5))
    view = await view_of(system, NOVEMBER - DAY, NOVEMBER)
    [line] = lines_of(view)["ok"]
    assert (view.runs, len(line.strip)) == (None, 14)
    assert "all 1 ok" in summary_mail.render(view, base_url="http://here").subject


async def test_a_period_that_ends_at_midnight_ends_with_the_day_before(system: SystemUnderTest) -> None:
    midnight = NOVEMBER.replace(hour=0)
    await run(system, midnight - timedelta(hours=2))
    view = await view_of(system, midnight - 31 * DAY, midnight)
    [line] = lines_of(view)["ok"]
    assert (len(line.strip), line.strip[-1].day.day, line.strip[-1].word) == (31, 31, "ok")


async def test_a_summary_that_is_worded_late_tells_the_state_at_the_end_of_its_period(system: SystemUnderTest) -> None:
    morning = NOVEMBER
    await run(system, morning - 2 * DAY, "success", job="db")
    await run(system, morning - timedelta(hours=4), "failure", job="db")
    await run(system, morning - timedelta(hours=3), "success", job="files")
    in_time = await view_of(system, morning - DAY, morning)
    await run(system, morning + timedelta(hours=2), "success", job="db")
    await run(system, morning + timedelta(hours=3), "failure", job="files")
    await run(system, morning + timedelta(hours=3), "failure", job="new")
    late = await view_of(system, morning - DAY, morning)
    # The strip is of whole days, and some of the last day is after the period.
    assert without_strips(late) == without_strips(in_time)
    [line] = lines_of(late)["failed"]
    assert (line.job, line.last_message) == ("db", "failure of 01 Nov")
    now = await view_of(system, morning, morning + DAY)
    assert (now.failed, now.ok, now.jobs) == (2, 1, 3)


async def test_an_agent_that_was_silent_then_is_named_also_when_it_reports_again(system: SystemUnderTest) -> None:
    await run(system, NOVEMBER - 4 * DAY)
    system.time[0] = NOVEMBER - timedelta(hours=1)
    await system.decide()
    await run(system, NOVEMBER + timedelta(hours=1))
    assert (await view_of(system, NOVEMBER - DAY, NOVEMBER)).silent_agents == ("sql01",)
    assert (await view_of(system, NOVEMBER, NOVEMBER + DAY)).silent_agents == ()


def without_strips(view: SummaryView) -> SummaryView:
    sections = (
        replace(section, lines=tuple(replace(line, strip=()) for line in section.lines)) for section in view.sections
    )
    return replace(view, sections=tuple(sections))


async def test_a_weekly_job_is_compared_with_its_like_and_not_with_empty_days(system: SystemUnderTest) -> None:
    sunday = datetime(2026, 11, 1, 3, tzinfo=UTC)
    for day in range(22):
        await run(system, sunday + day * DAY, job="daily", gib=10)
        if day % 7 == 0:
            await run(system, sunday + day * DAY, job="weekly", gib=90 + day // 7)
    monday = sunday + 22 * DAY + timedelta(hours=4)
    after_sunday = await view_of(system, monday - DAY, monday)
    assert after_sunday.totals.bytes_processed == (10 + 93) * GIB
    assert after_sunday.totals.usual_bytes_processed == (10 + 91) * GIB
    await run(system, sunday + 22 * DAY, job="daily", gib=10)
    after_monday = await view_of(system, monday, monday + DAY)
    assert (after_monday.totals.bytes_processed, after_monday.totals.usual_bytes_processed) == (10 * GIB, 10 * GIB)


async def test_a_day_without_runs_has_no_totals_that_fell_to_zero(system: SystemUnderTest) -> None:
    await run(system, NOVEMBER - 7 * DAY, job="weekly")
    quiet = await view_of(system, NOVEMBER - DAY, NOVEMBER)
    assert (quiet.totals.bytes_processed, quiet.totals.usual_bytes_processed) == (0, 0)
    assert "TOTALS" not in text_of(quiet)


async def test_a_week_is_compared_with_the_week_before(system: SystemUnderTest) -> None:
    for day in range(14):
        await run(system, NOVEMBER - timedelta(hours=5) - day * DAY, gib=20 if day < 7 else 10)
    system.time[0] = NOVEMBER
    view = await view_of(system, NOVEMBER - 7 * DAY, NOVEMBER)
    assert (view.totals.bytes_processed, view.totals.usual_bytes_processed) == (140 * GIB, 70 * GIB)
    assert "Read 140 GiB (+100 %)" in text_of(view)
