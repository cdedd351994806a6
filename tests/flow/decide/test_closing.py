"""An alert closes only by what proves that its problem is over, in histories of any kind: no missed, cancelled or unclear run closes it by itself."""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.admin.editing import Editor
from app.admin.jobs import create_job
from app.decide import judge, missed
from app.domain.event import SENT_AT
from app.domain.expectation import Expectation
from app.store.tables import agents, alerts, events, runs
from app.store.waiting import claim_by_id
from tests.support.context import SystemUnderTest, open_system
from tests.support.examples import examples
from tests.support.migrated import copy_sqlite, sqlite_template

GOOD, ENDED = {"success", "warning"}, {"success", "warning", "failure", "cancelled"}
# What a report must say to close an alert. Of a failure and of warnings, another report of the same run may also correct it.
CLOSED_BY = {
    "failed": GOOD,
    "warning": {"success"},
    "missed": ENDED,
    "unclear": {"success", "warning", "failure"},
    "agent_silent": ENDED | {None},
}
OUTCOMES = st.sampled_from([None, "success", "success", "warning", "failure", "failure", "cancelled", "unclear"])


@st.composite
def reports(draw: st.DrawFn) -> dict[str, Any]:
    """Return a start or an end of the job, with or without a run name, some without proof of its time."""
    outcome = draw(OUTCOMES)
    return {
        "ago": draw(st.integers(0, 300)),
        "run": draw(st.sampled_from([None, None, "a", "b"])),
        "phase": "started" if outcome is None else "finished",
        "outcome": outcome,
        "is_proven": draw(st.booleans()),
    }


ROUNDS = st.lists(st.lists(reports(), max_size=4), min_size=2, max_size=6)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def report(outcome: str | None, ago: int = 0, run: str | None = None, *, is_proven: bool = False) -> dict[str, Any]:
    phase = "started" if outcome is None else "finished"
    return {"ago": ago, "run": run, "phase": phase, "outcome": outcome, "is_proven": is_proven}


@settings(max_examples=examples(100), deadline=None)
# It hangs, then a slot is missed, then it ends unclear.
@example([[report(None, run="a")], [], [report("unclear", run="a")]], Random(1))
@example([[report(None, run="a")], [report("unclear", run="a")]], Random(1))
# The failure came with a clock that is behind; then a slot is missed, or a run is cancelled.
@pytest.mark.slow
@example([[report("success")], [report("failure", ago=290)], []], Random(1))
@example([[report("success")], [report("failure", ago=290)], [report("cancelled")]], Random(1))
@given(ROUNDS, st.randoms(use_true_random=False))
def test_an_alert_closes_only_by_proof(folder: Path, rounds: list[list[dict[str, Any]]], chance: Random) -> None:
    asyncio.run(decide_on(folder, rounds, chance))


async def decide_on(folder: Path, rounds: list[list[dict[str, Any]]], chance: Random) -> None:
    """Receive one round after another, three hours apart, decide on it in pieces of any order, and look at each alert that closed."""
    url = copy_sqlite(sqlite_template(), Path(tempfile.mkdtemp(dir=folder)) / "tocsin.db")
    async with open_system(url, folder) as system:
        await expect_runs(system)
        for number, backlog in enumerate(rounds):
            system.pass_time(hours=3)
            while await missed.write_due_events(system.context):
                pass
            for place, one in enumerate(backlog):
                await receive(system, f"{number}-{place}", one)
            waiting = list(await system.rows(events, events.c.state == "new"))
            chance.shuffle(waiting)
            while waiting:
                piece, waiting = waiting[:2], waiting[2:]
                await decide(system, piece)


async def expect_runs(system: SystemUnderTest) -> None:
    """Expect the job every two hours, for half an hour at most, and a report of its agent every five hours."""
    agent_id = await system.agent("sql01")
    expectation = Expectation(grace=timedelta(minutes=20), period=timedelta(hours=2), longest=timedelta(minutes=30))
    async with system.context.database.write() as tx:
        await tx.connection.execute(agents.update().values(silent_after_s=18_000))
        await create_job(
            tx, agent_id, "db", Editor("test", system.time[0], lambda _stage: None), expectation=expectation
        )


async def receive(system: SystemUnderTest, key: str, one: dict[str, Any]) -> None:
    now = system.pass_time(milliseconds=1)
    extra = {SENT_AT: now.isoformat()} if one["is_proven"] else {}
    fields = {name: one[name] for name in ("run", "phase", "outcome")}
    await system.receive(key=key, job="db", occurred_at=now - timedelta(minutes=one["ago"]), extra=extra, **fields)


async def decide(system: SystemUnderTest, piece: Sequence[Any]) -> None:
    before = {row.id: row for row in await system.rows(alerts, alerts.c.closed_at.is_(None))}
    run_of = {row.event_id: row.run_key for row in await system.rows(runs)}
    async with system.context.database.write() as tx:
        claim = await claim_by_id(tx, [row.id for row in piece])
        await judge.judge_events(tx, claim.events, system.context.clock())
    for row in await system.rows(alerts, alerts.c.closed_at.is_not(None)):
        if row.id in before:
            since, corrected = before[row.id].since, run_of.get(before[row.id].event_id)
            # A late report may also show that there were fewer runs with warnings in a row than the rule asks for.
            is_fewer = row.kind == "warning" and row.closed_reason.startswith("with a late report there are only")
            assert is_fewer or await is_proof(system, row.kind, piece, since, corrected), (row.kind, row.closed_reason)


async def is_proof(
    system: SystemUnderTest, kind: str, piece: Sequence[Any], since: datetime, corrected: str | None
) -> bool:
    reported = [row for row in piece if row.kind == "report"]
    if kind == "overrun":
        return any(run.outcome in ENDED and run.ended_at >= since for run in await system.rows(runs) if run.ended_at)
    if any(row.outcome in CLOSED_BY[kind] for row in reported):
        return True
    return any(row.run is not None and f"run:{row.run}" == corrected and row.outcome is not None for row in reported)
