"""Runs that their agent names may overlap: one that hangs is reported, however well the others end. On both databases."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.admin import alerts as admin_alerts
from app.admin import jobs as admin_jobs
from app.admin.editing import Editor
from app.domain.expectation import Expectation
from app.store.jobs import JobFilters, find_job
from app.store.tables import alerts, jobs, notices, runs
from tests.support.context import SystemUnderTest, open_system

NIGHTLY = Expectation(timedelta(hours=1), cron="0 2 * * *", longest=timedelta(hours=4))


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def expect(system: SystemUnderTest, expectation: Expectation | None) -> None:
    async with system.context.database.write() as tx:
        job = await find_job(tx, JobFilters())
        assert job is not None
        if expectation is not None:
            by = Editor("an administrator", system.time[0], system.context.wakeups.wake)
            await admin_jobs.update_job(tx, job.id, lambda before: replace(before, expectation=expectation), by)


async def start(system: SystemUnderTest, run: str | None) -> None:
    await system.receive(job="db", run=run, phase="started")
    await system.decide()


async def end(system: SystemUnderTest, run: str | None, outcome: str = "success") -> None:
    await system.receive(job="db", run=run, phase="finished", outcome=outcome)
    await system.decide()


async def pass_hours(system: SystemUnderTest, hours: int) -> None:
    for _ in range(hours):
        system.pass_time(hours=1)
        await system.decide()


async def hang(system: SystemUnderTest, expectation: Expectation | None = NIGHTLY) -> None:
    """Let the run `old` hang while the run `new` ends well, and pass the longest time."""
    await start(system, "old")
    await expect(system, expectation)
    system.pass_time(hours=1)
    await start(system, "new")
    system.pass_time(hours=1)
    await end(system, "new")
    await pass_hours(system, 3)


async def overruns(system: SystemUnderTest) -> list[tuple[int, str | None]]:
    """Return each overrun alert as its repeats and why it closed."""
    found = await system.rows(alerts, alerts.c.kind == "overrun")
    return [(alert.repeats, alert.closed_reason) for alert in found]


async def test_a_run_that_hangs_while_a_newer_one_ends_well_is_reported_once_until_it_ends(
    system: SystemUnderTest,
) -> None:
    began = system.time[0]
    await hang(system)
    [alert] = await system.rows(alerts)
    assert (alert.kind, alert.since, alert.closed_at) == ("overrun", began, None)
    assert f"running since {began:%Y-%m-%d %H:%M} UTC, longer than it should: the run old" in alert.message
    assert "another run of this job succeeded" in alert.message
    await start(system, "newest")
    await end(system, "newest")
    await system.receive(job="db", run="old", phase="progress")
    await pass_hours(system, 2)
    assert await overruns(system) == [(0, None)], "another run's success neither closes nor repeats it"
    assert len(await system.rows(notices, notices.c.what == "opened")) == 1
    await start(system, "also under way")
    await end(system, "old")
    assert await overruns(system) == [(0, "no run takes too long any more")]


async def test_without_an_expectation_a_run_that_was_overtaken_is_reported_after_three_days(
    system: SystemUnderTest,
) -> None:
    await hang(system, None)
    assert await overruns(system) == []
    for _ in range(3):
        system.pass_time(days=1)
        await end(system, None)
    assert await overruns(system) == [(0, None)]


async def test_a_start_that_arrives_after_a_newer_run_has_ended_is_watched_too(system: SystemUnderTest) -> None:
    await end(system, "new")
    await expect(system, NIGHTLY)
    await system.receive(job="db", run="old", phase="started", occurred_at=system.time[0] - timedelta(hours=1))
    await pass_hours(system, 5)
    assert await overruns(system) == [(0, None)]


async def test_a_person_closes_the_alert_of_a_run_that_will_never_end(system: SystemUnderTest) -> None:
    await hang(system)
    [alert] = await system.rows(alerts)
    async with system.context.database.write() as tx:
        by = Editor("Robin", system.time[0], system.context.wakeups.wake)
        await admin_alerts.close_alert(tx, alert.id, "its host was switched off", by)
    await end(system, "newest")
    await pass_hours(system, 6)
    assert await overruns(system) == [(0, "closed by Robin: its host was switched off")]
    [job], [run] = await system.rows(jobs), await system.rows(runs, runs.c.run_key == "run:old")
    assert (job.running_since, run.outcome) == (None, "superseded")
    await end(system, "old", "failure")
    [run] = await system.rows(runs, runs.c.run_key == "run:old")
    assert run.outcome == "failure", "an end that comes after all still counts"
    assert {alert.kind for alert in await system.rows(alerts)} == {"overrun", "failed"}


async def test_a_second_run_that_hangs_repeats_the_alert_which_closes_once_both_have_ended(
    system: SystemUnderTest,
) -> None:
    await hang(system)
    await start(system, "second")
    await pass_hours(system, 5)
    assert await overruns(system) == [(1, None)]
    await end(system, "old")
    assert await overruns(system) == [(1, None)]
    await end(system, "second")
    assert await overruns(system) == [(1, "no run takes too long any more")]


async def test_a_start_without_a_name_is_superseded_by_the_next_end(system: SystemUnderTest) -> None:
    await start(system, None)
    await expect(system, NIGHTLY)
    system.pass_time(hours=1)
    await start(system, None)
    system.pass_time(hours=1)
    await end(system, None)
    await pass_hours(system, 6)
    assert await overruns(system) == []
    assert [run.outcome for run in await system.rows(runs)] == ["superseded", "superseded", "success"]
