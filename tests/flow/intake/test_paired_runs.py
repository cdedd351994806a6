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
from sqlalchemy import text

from app.admin import jobs
from app.admin.editing import Editor
from app.compose import tick as compose
from app.store.jobs import JobFilters, find_job
from app.store.runs import newest_open
from app.store.tables import alerts, job_days, runs
from app.store.tables import jobs as jobs_table
from tests.support.context import Lived, live_in

NIGHTS, MINUTES = 6, (7, 11, 13, 17, 19, 23)


@pytest.fixture
async def lived(database_url: str, tmp_path: Path) -> AsyncIterator[Lived]:
    async with live_in(database_url, tmp_path) as lived:
        yield lived


def nights(lived: Lived) -> list[dict[str, Any]]:
    """Return a start without end, a start and an end, each night."""
    reported: list[dict[str, Any]] = []
    for night in range(NIGHTS):
        began = lived.time[0] - timedelta(days=NIGHTS - night)
        reported += [
            {"phase": "started", "occurred_at": began - timedelta(minutes=30)},
            {"phase": "started", "occurred_at": began},
            {"outcome": "success", "occurred_at": began + timedelta(minutes=MINUTES[night])},
        ]
    return reported


async def durations(lived: Lived) -> list[float]:
    ended = await lived.rows(runs, runs.c.ended_at.is_not(None))
    return [(run.ended_at - run.started_at).total_seconds() / 60 for run in sorted(ended, key=lambda run: run.ended_at)]


@pytest.mark.parametrize("order", ["as it happened", "backwards", "by chance"])
@pytest.mark.parametrize("at_once", [1, 4])
async def test_a_start_and_the_next_end_are_one_run(lived: Lived, order: str, at_once: int) -> None:
    reported = nights(lived)
    if order == "backwards":
        reported.reverse()
    elif order == "by chance":
        random.Random(7).shuffle(reported)
    for number, event in enumerate(reported, 1):
        await lived.receive(job="db", key=f"{event['occurred_at']}", **event)
        if number % at_once == 0:
            await lived.decide()
    await lived.decide()
    assert await durations(lived) == list(MINUTES)
    async with lived.context.database.read() as tx:
        days = (await tx.connection.execute(job_days.select())).all()
    assert sum(day.duration_s for day in days) == sum(MINUTES) * 60


async def night(lived: Lived, *, ends: bool) -> None:
    """Report a start, and an end an hour later if the run ends; then pass a day."""
    await lived.receive(job="db", phase="started")
    lived.pass_time(hours=1)
    if ends:
        await lived.receive(job="db", outcome="success")
    for _ in range(23):
        await lived.decide()
        lived.pass_time(hours=1)


async def expect_daily(lived: Lived) -> None:
    agent_id, by = await lived.agent("sql01"), Editor("an administrator", lived.time[0], lived.context.wakeups.wake)
    async with lived.context.database.write() as tx:
        await jobs.expect_daily_backup(tx, agent_id, "db", by)


@pytest.mark.parametrize("is_learned", [True, False])
async def test_a_job_that_begins_each_night_and_never_ends_opens_an_alert(lived: Lived, is_learned: bool) -> None:
    """It came, so it is not missed; it did not end, so it did not fail; and nobody set how long it may take."""
    if not is_learned:
        await expect_daily(lived)
    for _ in range(8):
        await night(lived, ends=True)
    began = lived.time[0]
    for _ in range(2):
        await night(lived, ends=False)
    assert await lived.rows(alerts) == []
    await night(lived, ends=False)
    [alert] = await lived.rows(alerts)
    assert (alert.kind, alert.closed_at) == ("overrun", None)
    assert alert.message.startswith(f"running since {began:%Y-%m-%d %H:%M} UTC")
    await night(lived, ends=True)
    [alert] = await lived.rows(alerts)
    assert alert.closed_at is not None


async def test_no_run_of_a_job_that_is_no_longer_expected_takes_too_long(lived: Lived) -> None:
    await expect_daily(lived)
    await lived.receive(job="db", phase="started")
    await lived.decide()
    async with lived.context.database.write() as tx:
        by = Editor("an administrator", lived.time[0], lived.context.wakeups.wake)
        job = await find_job(tx, JobFilters())
        assert job is not None
        await jobs.update_job(tx, job.id, lambda before: replace(before, expectation=None), by)
    lived.pass_time(days=4)
    await lived.decide()
    assert [alert.kind for alert in await lived.rows(alerts)] == ["agent_silent"]


async def test_an_end_that_was_lost_once_opens_no_alert(lived: Lived) -> None:
    await expect_daily(lived)
    for number in range(6):
        await night(lived, ends=number not in (1, 4))
    assert await lived.rows(alerts) == []


async def test_a_mail_says_how_long_the_failed_run_took(lived: Lived) -> None:
    await lived.receive(job="db", phase="started", occurred_at=lived.time[0] - timedelta(minutes=9))
    await lived.receive(job="db", outcome="failure")
    await lived.decide()
    await compose.tick(lived.context)
    [message] = await lived.mails()
    text = message_from_bytes(message.mail, policy=default).get_body(("plain",))
    assert text is not None
    assert "Duration        9 min" in text.get_content()


async def test_runs_of_a_tool_that_reports_only_ends_or_names_runs_are_not_paired(lived: Lived) -> None:
    await lived.receive(job="ends", outcome="success")
    await lived.receive(job="named", run="a", phase="started", occurred_at=lived.time[0] - timedelta(minutes=9))
    await lived.receive(job="named", outcome="success", metrics={"duration_s": 5})
    await lived.decide()
    ended = await lived.rows(runs, runs.c.ended_at.is_not(None))
    assert [run.started_at for run in ended] == [None, None]


async def test_the_cost_of_finding_a_running_job_does_not_grow_with_starts_that_never_end(
    sqlite_database_url: str, tmp_path: Path
) -> None:
    async with live_in(sqlite_database_url, tmp_path) as lived, lived.context.database.read() as tx:
        query = newest_open(["job_1"]).compile(tx.connection.engine.sync_engine, compile_kwargs={"literal_binds": True})
        plan = [row.detail for row in await tx.connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))]
    assert not any("TEMP B-TREE" in step or "SCAN" in step.replace("SCALAR", "") for step in plan), plan
    assert any("ix_runs_job_open (job_id=? AND outcome=? AND started_at" in step for step in plan), plan


async def test_a_job_runs_since_its_newest_start(lived: Lived) -> None:
    for _ in range(3):
        lived.pass_time(minutes=1)
        await lived.receive(job="db", phase="started")
        await lived.decide()
    [job] = await lived.rows(jobs_table)
    assert job.running_since == lived.time[0]
