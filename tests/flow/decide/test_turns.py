"""Deciding takes turns by customer and agent, trouble first, and the order in which events are claimed does not change what comes of them."""

import asyncio
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from app.admin.editing import Editor
from app.admin.jobs import create_job
from app.core.ids import new_id
from app.decide import judge, missed
from app.decide import tick as decide
from app.domain.event import CLOCK_OFFSET_S, SENT_AT
from app.domain.expectation import Expectation
from app.store.tables import agents, alerts, customers, events, job_days, jobs, notices, runs
from app.store.waiting import claim_by_id
from tests.support.context import SystemUnderTest, open_system
from tests.support.examples import examples
from tests.support.histories import receive_at
from tests.support.migrated import copy_sqlite, sqlite_template

BACKLOG = 3_000


async def other_customer(system: SystemUnderTest, name: str) -> dict[str, str]:
    """Create a customer with one agent; return the columns of an event of it."""
    customer_id, agent_id = new_id("cus"), new_id("agt")
    async with system.context.database.write() as tx:
        row = {"id": customer_id, "name": name, "time_zone": "UTC", "created_at": system.time[0]}
        await tx.connection.execute(insert(customers), [row])
        agent = {"id": agent_id, "customer_id": customer_id, "name": "nas", "labels": {}, "created_at": system.time[0]}
        await tx.connection.execute(insert(agents), [agent])
    return {"customer_id": customer_id, "agent_id": agent_id}


async def opened(system: SystemUnderTest) -> list[tuple[str, str]]:
    """Return the kind and severity of the open alerts."""
    return [(row.kind, row.severity) for row in await system.rows(alerts, alerts.c.closed_at.is_(None))]


@pytest.mark.parametrize("flood", ["success", "failure"])
async def test_what_another_customer_sends_does_not_wait_for_the_backlog_of_one(
    database_url: str, tmp_path: Path, flood: str
) -> None:
    async with open_system(database_url, tmp_path) as system:
        await receive_at(system, "busy", [system.time[0]] * BACKLOG, named=False, outcome=flood)
        other = await other_customer(system, "Birch")
        await system.receive(job="db", outcome="failure", severity="critical", **other)
        await system.receive(job="files", outcome="success", **other)
        await decide.tick(system.context)
        assert ("failed", "critical") in await opened(system)
        assert not await system.rows(events, events.c.customer_id == other["customer_id"], events.c.state == "new")
        assert len(await system.rows(events, events.c.state == "new")) > BACKLOG / 2, "most of the backlog still waits"


async def test_a_failure_overtakes_the_routine_of_its_own_agent(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        await receive_at(system, "busy", [system.time[0]] * BACKLOG, named=False)
        await system.receive(job="db", outcome="failure")
        await decide.tick(system.context)
        assert await opened(system) == [("failed", "error")]


async def test_an_old_failure_in_a_spool_of_many_nights_opens_no_alert(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        await receive_at(system, "busy", [system.time[0]] * BACKLOG, named=False)
        for days, outcome in ((0, "success"), (4, "failure"), (9, "success")):  # the newest night first, as it may come
            at = system.time[0] - timedelta(days=days)
            await system.receive(job="db", outcome=outcome, phase="finished", occurred_at=at)
        await decide.tick(system.context)
        assert not await system.rows(events, events.c.outcome == "failure", events.c.state == "new")
        assert await system.rows(alerts) == []


async def test_a_failure_that_a_waiting_success_answers_opens_no_alert(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        for number in range(3):
            await system.receive(job=f"db{number}", outcome="failure")
        await receive_at(system, "busy", [system.time[0]] * BACKLOG, named=False)
        system.pass_time(minutes=1)
        for number in range(3):
            await system.receive(job=f"db{number}", outcome="success")
        await decide.tick(system.context)
        assert not await system.rows(alerts)


async def test_each_of_many_customers_has_its_turn(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        await receive_at(system, "busy", [system.time[0]] * BACKLOG, named=False)
        for number in range(150):
            other = await other_customer(system, f"customer {number}")
            await system.receive(job="db", outcome="success", **other)
        busy = events.c.customer_id == system.customer_id, events.c.state == "new"
        while await system.rows(events, events.c.customer_id != system.customer_id, events.c.state == "new"):
            assert await decide.tick(system.context)
        assert len(await system.rows(events, *busy)) > BACKLOG / 4


REPORTS: list[dict[str, Any]] = [
    {"phase": "started"},
    *({"phase": "finished", "outcome": outcome} for outcome in ("success", "success", "warning", "cancelled")),
    *({"phase": "finished", "outcome": "failure", "severity": severity} for severity in ("error", "critical")),
    *({"phase": "finished", "outcome": "unclear", "message": text} for text in ("vault rotated", "the moon is full")),
]


@st.composite
def backlogs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return events of two jobs: ends of any outcome and starts, with and without run names, some from a clock that is wrong."""
    return [
        {
            "job": draw(st.sampled_from(["files", "mail"])),
            "at": draw(st.integers(0, 30)),
            "offset": draw(st.sampled_from([None, None, None, 7200])),
            "run": draw(st.sampled_from([None, None, "a", "b"])),
            **draw(st.sampled_from(REPORTS)),
        }
        for _ in range(draw(st.integers(0, 8)))
    ]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


HANGS = {"job": "files", "at": 0, "offset": None, "run": "a", "phase": "started"}
ENDS_UNCLEAR = {"job": "files", "at": 20, "offset": None, "run": "a", "phase": "finished", "outcome": "unclear"}


@settings(max_examples=examples(12), deadline=None)
@example([[HANGS], [ENDS_UNCLEAR]], Random(7), 1)
@example([[HANGS], [ENDS_UNCLEAR]], Random(11), 1)
@example([[HANGS | {"run": None}], [ENDS_UNCLEAR | {"run": None}]], Random(7), 1)
@example([[HANGS | {"run": None}], [ENDS_UNCLEAR | {"run": None}]], Random(11), 3)
@given(st.lists(backlogs(), min_size=1, max_size=2), st.randoms(use_true_random=False), st.integers(1, 4))
def test_any_order_of_claiming_ends_in_the_same_jobs_runs_alerts_and_notices(
    folder: Path, rounds: list[list[dict[str, Any]]], chance: Random, size: int
) -> None:
    """Jobs, runs, daily sums and open alerts of every kind must be equal, and who is notified of the open ones: what, to whom, in which state.

    Before the second backlog three hours pass, so that the clock's own events (missed, overrun, silent) wait with it. Alerts that opened
    and closed on the way may differ: a failure that is decided before a success which it answers opens none in the order of receipt.
    All their notices must be suppressed, so that nobody hears of them.
    """
    received = asyncio.run(outcome_of_claims(folder, rounds, None, size))
    claimed = asyncio.run(outcome_of_claims(folder, rounds, chance, size))
    assert claimed == received


async def outcome_of_claims(folder: Path, rounds: list[list[dict[str, Any]]], chance: Random | None, size: int) -> Any:
    """Decide on each backlog in the order of receipt or in any other; return what came of them without ids that are random."""
    url = copy_sqlite(sqlite_template(), Path(tempfile.mkdtemp(dir=folder)) / "tocsin.db")
    async with open_system(url, folder) as system:
        await expect_runs(system)
        for number, backlog in enumerate(rounds):
            if number:
                system.pass_time(hours=3)
                while await missed.write_due_events(system.context):
                    pass
            await receive_all(system, backlog, f"{number}-")
            ids = [row.id for row in await system.rows(events, events.c.state == "new")]
            if chance is not None:
                chance.shuffle(ids)
            for place in range(0, len(ids), size):
                async with system.context.database.write() as tx:
                    claim = await claim_by_id(tx, ids[place : place + size])
                    await judge.judge_events(tx, claim.events, system.context.clock())
        return [*await jobs_and_runs(system), *await alerts_and_notices(system)]


async def expect_runs(system: SystemUnderTest) -> None:
    """Expect both jobs each hour, for half an hour at most, and a report of their agent every two hours."""
    agent_id = await system.agent("sql01")
    expectation = Expectation(grace=timedelta(minutes=20), period=timedelta(hours=1), longest=timedelta(minutes=30))
    by = Editor("test", system.time[0], lambda _stage: None)
    async with system.context.database.write() as tx:
        await tx.connection.execute(agents.update().values(silent_after_s=7200))
        for name in ("files", "mail"):
            await create_job(tx, agent_id, name, by, expectation=expectation)


async def receive_all(system: SystemUnderTest, backlog: list[dict[str, Any]], prefix: str) -> None:
    """Receive reports one after another. Their times are proven, so a late report is rightly late."""
    for number, event in enumerate(backlog):
        now = system.pass_time(milliseconds=1)
        fields = {name: value for name, value in event.items() if name not in ("at", "offset")}
        extra = {SENT_AT: now.isoformat()} | ({CLOCK_OFFSET_S: event["offset"]} if event["offset"] else {})
        at = now - timedelta(minutes=40 - event["at"])
        await system.receive(key=f"{prefix}{number}", occurred_at=at, extra=extra, **fields)


async def jobs_and_runs(system: SystemUnderTest) -> list[Any]:
    """Return the jobs, the runs, and the daily sums that are not zero."""
    names = {row.id: row.name for row in await system.rows(jobs)}
    # The key of a missed run names its job by its id, which differs from one database to the next.
    keys = {row.id: row.run_key.replace(row.job_id, names[row.job_id]) for row in await system.rows(runs)}
    async with system.context.database.read() as tx:
        days = [row for row in await tx.connection.execute(job_days.select()) if row.successes or row.failures]
    return [
        sorted(
            (
                *(row.name, row.state, row.failures_in_row, row.warnings_in_row, row.failing_since),
                *(row.last_outcome, row.last_finished_at, row.last_success_at, row.running_since),
                *(keys.get(row.last_run_id or ""), row.last_due_at, row.next_due_at, row.overdue_at),
            )
            for row in await system.rows(jobs)
        ),
        sorted(
            (names[row.job_id], keys[row.id], row.started_at, row.ended_at, row.outcome)
            for row in await system.rows(runs)
        ),
        # The order in which numbers with fractions are added changes their last digits.
        sorted((names[row.job_id], row.day, row.successes, row.failures, round(row.duration_s, 6)) for row in days),
    ]


async def alerts_and_notices(system: SystemUnderTest) -> list[Any]:
    """Return the open alerts of every kind, and their notices. Raises AssertionError if a notice of a closed one is still to be sent."""
    named = {row.id: row.name for table in (jobs, agents) for row in await system.rows(table)}
    opened = {row.id: row for row in await system.rows(alerts, alerts.c.closed_at.is_(None))}
    made = [row for row in await system.rows(notices) if row.alert_id is not None]
    assert {row.state for row in made if row.alert_id not in opened} <= {"suppressed"}
    of_open = [(row, opened[row.alert_id]) for row in made if row.alert_id in opened]
    return [
        sorted((named[row.subject_id], row.kind, row.form, row.severity) for row in opened.values()),
        sorted(
            (named[of.subject_id], of.kind, row.what, row.recipient_id is not None, row.state) for row, of in of_open
        ),
    ]
