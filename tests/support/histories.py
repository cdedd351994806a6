"""Histories of one job of any length, written at once, and events for deciding whose times lie anywhere in them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

from sqlalchemy import insert, text

from app.core.ids import new_id
from app.store.tables import events
from app.store.types import to_micros
from tests.support.context import SystemUnderTest

SPAN = timedelta(days=20)  # of a history; its last run ended a day before now
SHAPES = ("same time", "reversed", "shuffled", "late", "in order")
_ROWS = 20_000  # in one statement
# The runs of a job: every third failed. `kind` is the prefix of the run key: runs with a name, and such as are one event each.
_SQLITE = """
    WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :end)
    INSERT INTO runs (id, customer_id, job_id, run_key, ended_at, heard_at, outcome, severity, decided_by, event_id)
    SELECT 'run_' || printf('%012d', i), :customer, :job, :kind || i, :began + i * :step, :began + i * :step,
    CASE WHEN i % 3 = 0 THEN 'failure' ELSE 'success' END, 'info', 'k' || i, 'evt_' || printf('%012d', i) FROM n
"""
_POSTGRES = """
    INSERT INTO runs (id, customer_id, job_id, run_key, ended_at, heard_at, outcome, severity, decided_by, event_id)
    SELECT 'run_' || lpad(i::text, 12, '0'), :customer, :job, :kind || i, t, t,
    CASE WHEN i % 3 = 0 THEN 'failure' ELSE 'success' END, 'info', 'k' || i, 'evt_' || lpad(i::text, 12, '0')
    FROM generate_series(CAST(:first AS bigint), CAST(:end AS bigint) - 1) AS i,
    LATERAL (SELECT CAST(:began AS timestamptz) + i * CAST(:step AS interval) AS t) AS at
"""


def times_of(shape: str, system: SystemUnderTest, number: int) -> list[datetime]:
    """Return the times of new events: how they lie in the history of a job."""
    now = system.time[0]
    first = now - timedelta(days=1) - SPAN
    chance = Random(7)
    match shape:
        case "same time":
            return [first + SPAN / 2] * number
        case "reversed":
            return [first - timedelta(seconds=place) for place in range(number)]
        case "shuffled":
            return [first + SPAN * chance.random() for _ in range(number)]
        case "late":
            return [now - timedelta(days=1, seconds=place) for place in range(number)]
        case _:
            return [now - timedelta(hours=1) + timedelta(seconds=place) for place in range(number)]


async def write_history(system: SystemUnderTest, job: str, runs: int, *, named: bool, same_time: int) -> None:
    """Write this many ended runs of a job: `same_time` of them at one moment in the middle, the others over some weeks."""
    await system.receive(job=job, outcome="success", phase="finished", occurred_at=system.time[0] - timedelta(days=30))
    await system.decide()
    [job_id] = [row[0] for row in await _fetch(system, f"SELECT id FROM jobs WHERE name = '{job}'")]
    first = system.time[0] - timedelta(days=1) - SPAN
    spread = runs - same_time
    for began, step, start, end in (
        (first, SPAN / max(spread, 1), 0, spread),
        (first + SPAN / 2, timedelta(0), spread, runs),
    ):
        for place in range(start, end, _ROWS):
            values = {
                "customer": system.customer_id,
                "job": job_id,
                "kind": f"run:{job}-" if named else f"event:{job}-",
                "first": place,
                "end": min(place + _ROWS, end),
            }
            is_sqlite = system.context.database.is_sqlite
            values["began"] = to_micros(began) if is_sqlite else began
            values["step"] = step // timedelta(microseconds=1) if is_sqlite else step
            sql = (_SQLITE if is_sqlite else _POSTGRES).replace("'run_'", f"'run_{job}'")
            async with system.context.database.write() as tx:
                await tx.connection.execute(text(sql), values)
    await system.receive(job=job, outcome="success", phase="finished", occurred_at=system.time[0] - timedelta(hours=12))
    await system.decide()


async def receive_at(
    system: SystemUnderTest, job: str, times: Sequence[datetime], *, named: bool, outcome: str = "success"
) -> None:
    """Store one report for each of these times."""
    agent_id = await system.agent("sql01")
    ids = [new_id("evt") for _ in times]
    rows = [
        {
            "id": event_id,
            "customer_id": system.customer_id,
            "agent_id": agent_id,
            "key": event_id,
            "activity": "backup",
            "severity": "error" if outcome == "failure" else "info",
            "job": job,
            "run": f"new-{event_id}" if named else None,
            "outcome": outcome,
            "phase": "finished",
            "occurred_at": at,
            "received_at": system.time[0],
        }
        for event_id, at in zip(ids, times, strict=True)
    ]
    async with system.context.database.write() as tx:
        await tx.connection.execute(insert(events), rows)


async def _fetch(system: SystemUnderTest, sql: str) -> list[tuple[str, ...]]:
    async with system.context.database.read() as tx:
        return [tuple(row) for row in await tx.connection.execute(text(sql))]
