"""Tools that report start and end without naming a run: the duration is known in any order of arrival, on both databases."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from app.admin import jobs
from app.admin.editing import Editor
from app.compose import tick as compose
from app.domain.event import RunOutcome
from app.store.jobs import JobFilters, find_job
from app.store.runs import NEWEST_OPEN, NEWEST_OVERRUN
from app.store.tables import alerts, job_days, runs
from app.store.tables import jobs as jobs_table
from tests.support.context import SystemUnderTest, open_system

NIGHTS, MINUTES = 6, (7, 11, 13, 17, 19, 23)


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


def nights(system: SystemUnderTest) -> list[dict[str, Any]]:
    """Return a start without end, a start and an end, each night."""
    reported: list[dict[str, Any]] = []
    for night in range(NIGHTS):
        began = system.time[0] - timedelta(days=NIGHTS - night)
        reported += [
            {"phase": "started", "occurred_at": began - timedelta(minutes=30)},
            {"phase": "started", "occurred_at": began},
            {"outcome": "success", "occurred_at": began + timedelta(minutes=MINUTES[night])},
        ]
    return reported


async def durations(system: SystemUnderTest) -> list[float]:
    ended = await system.rows(runs, runs.c.ended_at.is_not(None))
    return [(run.ended_at - run.started_at).total_seconds() / 60 for run in sorted(ended, key=lambda run: run.ended_at)]


@pytest.mark.parametrize("order", ["as it happened", "backwards", "by chance"])
@pytest.mark.parametrize("at_once", [1, 4])
async def test_a_start_and_the_next_end_are_one_run(system: SystemUnderTest, order: str, at_once: int) -> None:
    reported = nights(system)
    if order == "backwards":
        reported.reverse()
    elif order == "by chance":
        random.Random(7).shuffle(reported)
    for number, event in enumerate(reported, 1):
        await system.receive(job="db", key=f"{event['occurred_at']}", **event)
        if number % at_once == 0:
            await system.decide()
    await system.decide()
    assert await durations(system) == list(MINUTES)
    async with system.context.database.read() as tx:
        days = (await tx.connection.execute(job_days.select())).all()
    assert sum(day.duration_s for day in days) == sum(MINUTES) * 60


async def night(system: SystemUnderTest, *, ends: bool) -> None:
    """Report a start, and an end an hour later if the run ends; then pass a day."""
    await system.receive(job="db", phase="started")
    system.pass_time(hours=1)
    if ends:
        await system.receive(job="db", outcome="success")
    for hours in (1, 4, 6, 6, 6):
        await system.decide()
        system.pass_time(hours=hours)


async def expect_daily(system: SystemUnderTest) -> None:
    agent_id, by = await system.agent("sql01"), Editor("an administrator", system.time[0], system.context.wakeups.wake)
    async with system.context.database.write() as tx:
        await jobs.expect_daily_backup(tx, agent_id, "db", by)


@pytest.mark.parametrize("is_learned", [True, False])
async def test_a_job_that_begins_each_night_and_never_ends_opens_an_alert(
    system: SystemUnderTest, is_learned: bool
) -> None:
    """It came, so it is not missed; it did not end, so it did not fail; and nobody set how long it may take."""
    if not is_learned:
        await expect_daily(system)
    for _ in range(8):
        await night(system, ends=True)
    began = system.time[0]
    for _ in range(2):
        await night(system, ends=False)
    assert await system.rows(alerts) == []
    await night(system, ends=False)
    [alert] = await system.rows(alerts)
    assert (alert.kind, alert.closed_at) == ("overrun", None)
    assert alert.message.startswith(f"running since {began:%Y-%m-%d %H:%M} UTC")
    await night(system, ends=True)
    [alert] = await system.rows(alerts)
    assert alert.closed_at is not None


async def test_no_run_of_a_job_that_is_no_longer_expected_takes_too_long(system: SystemUnderTest) -> None:
    await expect_daily(system)
    await system.receive(job="db", phase="started")
    await system.decide()
    async with system.context.database.write() as tx:
        by = Editor("an administrator", system.time[0], system.context.wakeups.wake)
        job = await find_job(tx, JobFilters())
        assert job is not None
        await jobs.update_job(tx, job.id, lambda before: replace(before, expectation=None), by)
    system.pass_time(days=4)
    await system.decide()
    assert [alert.kind for alert in await system.rows(alerts)] == ["agent_silent"]


async def test_an_end_that_was_lost_once_opens_no_alert(system: SystemUnderTest) -> None:
    await expect_daily(system)
    for number in range(6):
        await night(system, ends=number not in (1, 4))
    assert await system.rows(alerts) == []


async def test_a_mail_says_how_long_the_failed_run_took(system: SystemUnderTest) -> None:
    await system.receive(job="db", phase="started", occurred_at=system.time[0] - timedelta(minutes=9))
    await system.receive(job="db", outcome="failure")
    await system.decide()
    await compose.tick(system.context)
    [message] = await system.mails()
    text = message_from_bytes(message.mail, policy=default).get_body(("plain",))
    assert text is not None
    assert "Duration        9 min" in text.get_content()


async def test_runs_of_a_tool_that_reports_only_ends_or_names_runs_are_not_paired(system: SystemUnderTest) -> None:
    await system.receive(job="ends", outcome="success")
    await system.receive(job="named", run="a", phase="started", occurred_at=system.time[0] - timedelta(minutes=9))
    await system.receive(job="named", outcome="success", metrics={"duration_s": 5})
    await system.decide()
    ended = await system.rows(runs, runs.c.ended_at.is_not(None))
    assert [run.started_at for run in ended] == [None, None]


@pytest.mark.parametrize("outcome", [None, RunOutcome.OVERRUN])
async def test_the_cost_of_finding_a_running_job_does_not_grow_with_starts_that_never_end(
    sqlite_database_url: str, tmp_path: Path, outcome: RunOutcome | None
) -> None:
    async with open_system(sqlite_database_url, tmp_path) as system, system.context.database.read() as tx:
        query = (NEWEST_OPEN if outcome is None else NEWEST_OVERRUN).compiled(tx.connection.dialect)
        values = tuple(query.arguments({"ids": ["job_1"]}))
        plan = [row.detail for row in await tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query.sql}", values)]
    plan = [step for step in plan if "VIRTUAL TABLE" not in step]  # the list of the jobs that are asked for
    assert not any("TEMP B-TREE" in step or "SCAN" in step.replace("SCALAR", "") for step in plan), plan
    assert any("ix_runs_job_open (job_id=? AND outcome=? AND started_at" in step for step in plan), plan


async def test_a_job_runs_since_its_newest_start(system: SystemUnderTest) -> None:
    for _ in range(3):
        system.pass_time(minutes=1)
        await system.receive(job="db", phase="started")
        await system.decide()
    [job] = await system.rows(jobs_table)
    assert job.running_since == system.time[0]
