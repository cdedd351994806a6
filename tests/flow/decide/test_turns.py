"""Deciding takes turns by customer and agent, trouble first, and the order in which events are claimed does not change what comes of them."""

import asyncio
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from app.core.ids import new_id
from app.decide import judge
from app.decide import tick as decide
from app.store.tables import agents, alerts, customers, events, job_days, jobs, runs
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


@st.composite
def backlogs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return events of two jobs: ends of any outcome and starts, with and without run names."""
    return [
        {
            "job": draw(st.sampled_from(["files", "mail"])),
            "at": draw(st.integers(0, 30)),
            **draw(
                st.sampled_from(
                    [
                        {"phase": "started"},
                        *({"phase": "finished", "outcome": o} for o in ("success", "success", "failure", "failure")),
                        *({"phase": "finished", "outcome": o} for o in ("warning", "cancelled", "unclear")),
                    ]
                )
            ),
            "run": draw(st.sampled_from([None, None, "a", "b"])),
        }
        for _ in range(draw(st.integers(1, 10)))
    ]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@settings(max_examples=examples(12), deadline=None)
@given(backlogs(), st.randoms(use_true_random=False), st.integers(1, 4))
def test_any_order_of_claiming_ends_in_the_same_jobs_runs_and_alerts(
    folder: Path, backlog: list[dict[str, Any]], chance: Random, size: int
) -> None:
    received = asyncio.run(outcome_of_claims(folder, backlog, None, size))
    claimed = asyncio.run(outcome_of_claims(folder, backlog, chance, size))
    assert claimed == received


async def outcome_of_claims(folder: Path, backlog: list[dict[str, Any]], chance: Random | None, size: int) -> Any:
    """Decide on a backlog in the order of receipt or in any other; return what came of it without ids that are random."""
    url = copy_sqlite(sqlite_template(), Path(tempfile.mkdtemp(dir=folder)) / "tocsin.db")
    async with open_system(url, folder) as system:
        ids = []
        for number, event in enumerate(backlog):
            fields = {name: value for name, value in event.items() if name != "at"}
            at = system.time[0] - timedelta(minutes=40 - event["at"])
            extra = {"sent_at": system.time[0].isoformat()}  # the time is proven, so a late report is rightly late
            ids.append(await system.receive(key=f"k{number}", occurred_at=at, extra=extra, **fields))
        if chance is not None:
            chance.shuffle(ids)
        for place in range(0, len(ids), size):
            async with system.context.database.write() as tx:
                claim = await claim_by_id(tx, ids[place : place + size])
                await judge.judge_events(tx, claim.events, system.context.clock())
        names = {row.id: row.name for row in await system.rows(jobs)}
        keys = {row.id: row.run_key for row in await system.rows(runs)}
        return (
            sorted(
                (
                    *(row.name, row.state, row.failures_in_row, row.warnings_in_row, row.failing_since),
                    *(row.last_outcome, row.last_finished_at, row.last_success_at, row.running_since),
                    keys.get(row.last_run_id or ""),
                )
                for row in await system.rows(jobs)
            ),
            sorted(
                (names[row.job_id], row.run_key, row.started_at, row.ended_at, row.outcome)
                for row in await system.rows(runs)
            ),
            sorted(
                (names[row.job_id], row.day, row.successes, row.failures, row.duration_s) for row in await days(system)
            ),
            sorted(
                (names[row.subject_id], row.kind)
                for row in await system.rows(alerts, alerts.c.closed_at.is_(None), alerts.c.kind == "failed")
            ),
        )


async def days(system: SystemUnderTest) -> list[Any]:
    """Return the daily sums that are not zero."""
    async with system.context.database.read() as tx:
        rows = (await tx.connection.execute(job_days.select())).all()
    return [row for row in rows if row.successes or row.failures]
