"""Runs of which nobody can tell how they ended: they change nothing of the job, and each form of text is reported once."""

import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.domain.mail_views import SummaryView
from app.store.summaries import SUMMARY_SCHEDULES
from app.store.summary_views import read_summary_view
from app.store.tables import agents, alerts, job_days, jobs, notices, runs
from app.store.tables_managed import rules, summary_schedules
from tests.support.context import SystemUnderTest, open_system

ODD, ODDER = "Backup of db: 3 things to know", "The tape is blue"


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def report(system: SystemUnderTest, outcome: str, message: str = "", hours: float = 1, **fields: Any) -> None:
    system.pass_time(hours=hours)
    await system.receive(job="db", outcome=outcome, message=message, phase="finished", **fields)
    await system.decide()


async def reported(system: SystemUnderTest) -> list[tuple[str, str]]:
    """Return the alert's kind and what of each notice, in order."""
    kinds = {row.id: row.kind for row in await system.rows(alerts)}
    return [(kinds[notice.alert_id], notice.what) for notice in await system.rows(notices)]


async def word(system: SystemUnderTest) -> None:
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(notices).values(state="worded"))


async def open_kinds(system: SystemUnderTest) -> list[tuple[str, str | None]]:
    return [(row.kind, row.message) for row in await system.rows(alerts) if row.closed_at is None]


@pytest.mark.parametrize("outcome", ["success", "warning", "failure", "cancelled"])
async def test_an_unclear_run_leaves_the_job_as_it_was(system: SystemUnderTest, outcome: str) -> None:
    await report(system, outcome, "as usual")
    [before] = await system.rows(jobs)
    opened = await open_kinds(system)
    await report(system, "unclear", ODD)
    [after] = await system.rows(jobs)
    for name in ("state", "last_outcome", "last_message", "last_success_at", "failures_in_row", "warnings_in_row"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.last_run_id == before.last_run_id
    assert after.last_came_at == system.time[0], "the job did come"
    assert await open_kinds(system) == [*opened, ("unclear", ODD)]
    async with system.context.database.read() as tx:
        assert await tx.connection.scalar(select(func.sum(job_days.c.unclear))) == 1


async def test_each_form_of_text_is_reported_once(system: SystemUnderTest) -> None:
    await report(system, "unclear", ODD)
    await word(system)
    await report(system, "unclear", ODD.replace("3", "14"))
    await report(system, "unclear", ODDER)
    await report(system, "unclear", ODDER)
    assert await reported(system) == [("unclear", "opened")] * 2
    assert [(row.message, row.repeats) for row in await system.rows(alerts)] == [
        (ODD.replace("3", "14"), 1),
        (ODDER, 1),
    ]


async def test_the_same_subject_with_another_body_is_another_form(system: SystemUnderTest) -> None:
    await report(system, "unclear", "cron", log="all is quiet\n")
    await report(system, "unclear", "cron", log="the disk hums\n")
    assert len(await open_kinds(system)) == 2


@pytest.mark.parametrize("outcome", ["success", "warning", "failure"])
async def test_a_proven_run_that_ends_later_answers_the_question(system: SystemUnderTest, outcome: str) -> None:
    await report(system, "unclear", ODD)
    await word(system)
    await report(system, outcome)
    closed = [row for row in await system.rows(alerts) if row.kind == "unclear"]
    assert [row.closed_reason for row in closed] == [f"a later run ended clearly, with outcome {outcome}"]
    assert ("unclear", "recovered") in await reported(system)


@pytest.mark.parametrize("outcome", ["cancelled", "unclear"])
async def test_a_run_that_proves_nothing_closes_nothing(system: SystemUnderTest, outcome: str) -> None:
    await report(system, "unclear", ODD)
    await report(system, outcome, ODDER)
    assert ("unclear", ODD) in await open_kinds(system)


async def test_a_form_that_came_before_waits_a_day_for_a_proven_run(system: SystemUnderTest) -> None:
    for _ in range(3):  # a job that sends both a clear and an unclear text each night
        await report(system, "unclear", ODD, hours=23)
        async with system.context.database.write() as tx:  # mailed if it was due
            due = notices.c.state == "waiting", notices.c.due_at <= system.time[0]
            await tx.connection.execute(update(notices).where(*due).values(state="worded"))
        await report(system, "success")
    opened = [notice.state for notice in await system.rows(notices) if notice.what == "opened"]
    assert opened == ["worded", "suppressed", "suppressed"]
    await report(system, "unclear", ODD, hours=23)
    assert [n.due_at for n in await system.rows(notices)][-1] == system.time[0] + timedelta(hours=24)


async def test_a_text_that_is_older_than_a_proven_run_asks_nothing(system: SystemUnderTest) -> None:
    await report(system, "success")
    await report(system, "unclear", ODD, occurred_at=system.time[0] - timedelta(hours=9))
    assert await open_kinds(system) == []


async def test_no_alert_closes_by_an_unclear_event(system: SystemUnderTest) -> None:
    await report(system, "failure", "disk full")
    system.pass_time(minutes=5)
    await system.receive(job="db", phase="started", severity="info")
    await system.decide()
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(runs).where(runs.c.outcome.is_(None)).values(overrun_at=system.time[0]))
        await tx.connection.execute(update(agents).values(silent_at=system.time[0], silent_after_s=1800))
    system.pass_time(hours=1)
    await system.decide()
    before = [kind for kind, _ in await open_kinds(system)]
    assert sorted(before) == ["agent_silent", "failed", "overrun"]
    await report(system, "unclear", ODD)
    assert [kind for kind, _ in await open_kinds(system)] == [*before, "unclear"]
    await report(system, "success")
    assert await open_kinds(system) == []


async def test_a_start_ends_with_an_unclear_end(system: SystemUnderTest) -> None:
    await system.receive(job="db", phase="started")
    await system.decide()
    await report(system, "unclear", ODD)
    [job] = await system.rows(jobs)
    assert job.running_since is None
    assert {row.outcome for row in await system.rows(runs)} == {"superseded", "unclear"}


async def test_an_unclear_end_never_replaces_a_clear_end_of_the_same_run(system: SystemUnderTest) -> None:
    await report(system, "failure", "disk full", run="r1")
    await report(system, "unclear", ODD, run="r1")
    [job] = await system.rows(jobs)
    assert (job.state, job.last_outcome) == ("failed", "failure")
    assert await open_kinds(system) == [("failed", "disk full"), ("unclear", ODD)]


async def test_a_disabled_rule_keeps_it_quiet(system: SystemUnderTest) -> None:
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(rules).where(rules.c.kind == "unclear").values(enabled=False))
    await report(system, "unclear", ODD)
    assert await open_kinds(system) == []


SENT = [
    (1, "unclear", ODD),
    (2, "unclear", ODDER),
    (3, "success", "done"),
    (4, "unclear", ODD),
    (5, "cancelled", ""),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(len(SENT))))[::11])
async def test_late_and_duplicate_events_end_in_the_same_state(system: SystemUnderTest, order: tuple[int, ...]) -> None:
    start = system.pass_time(hours=10)
    for place in (*order, order[0]):
        hour, outcome, message = SENT[place]
        at = start - timedelta(hours=6 - hour)
        await system.receive(job="db", outcome=outcome, message=message, occurred_at=at, run=f"r{hour}")
        await system.decide()
    assert await open_kinds(system) == [("unclear", ODD)]
    [job] = await system.rows(jobs)
    assert (job.state, job.last_outcome, job.failures_in_row) == ("ok", "cancelled", 0)


async def summary(system: SystemUnderTest) -> SummaryView:
    [row] = await system.rows(summary_schedules)
    end = system.pass_time(minutes=1)
    async with system.context.database.read() as tx:
        schedule = await SUMMARY_SCHEDULES.get(tx, row.id)
        return await read_summary_view(tx, schedule, number=1, start=end - timedelta(days=1), end=end)


async def test_a_summary_counts_an_unclear_job_neither_as_good_nor_as_new(system: SystemUnderTest) -> None:
    await report(system, "success")
    await report(system, "unclear", ODD)
    await system.receive(job="new", outcome="unclear", message=ODDER)
    await system.decide()
    seen = await summary(system)
    assert (seen.jobs, seen.unclear, seen.ok, seen.new, seen.unclear_runs, seen.unclear_texts) == (2, 2, 0, 0, 2, 2)
    [section] = seen.sections
    assert (section.title, {line.last_message for line in section.lines}) == ("unclear", {ODD, ODDER})
    assert {line.strip[-1].word for line in section.lines} == {"unclear"}
    await report(system, "success")
    after = await summary(system)
    assert (after.unclear, after.ok, after.unclear_runs, after.unclear_texts) == (1, 1, 2, 1)


async def test_a_failing_job_with_an_unclear_text_still_fails(system: SystemUnderTest) -> None:
    await report(system, "failure")
    await report(system, "unclear", ODD)
    seen = await summary(system)
    assert (seen.failed, seen.unclear, seen.unclear_texts) == (1, 0, 1)
