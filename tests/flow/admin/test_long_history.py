"""Lists of a long history: a full first page of whatever is rare in it, read from an index. The work is counted, not timed."""

import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, event, insert, text

from app.store import repository
from app.store.tables import agents, alerts, customers, events, jobs, messages, notices, runs
from tests.support.api import Api, serving

ROWS = 20_000
RARE = 60  # rows of the rare job, the oldest of all
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
CUSTOMERS, AGENTS, JOBS_EACH = 10, 50, 3
RARE_AGENT = 7
# A page costs at most this. Reading every row of a table would cost more than five times as much.
STEPS_MOST = 150_000  # of SQLite's virtual machine
ROWS_MOST = 4_000  # read or tested by PostgreSQL


def id_of(noun: str, number: int) -> str:
    return f"{noun}_{number:028x}"


def job_number(row: int) -> int:
    """The job that a row belongs to: of the rare one at first, then of all others in turn."""
    return AGENTS * JOBS_EACH if row < RARE else row % (AGENTS * JOBS_EACH)


def owner(row: int) -> dict[str, Any]:
    """The customer, agent and job of a row."""
    job = job_number(row)
    agent = RARE_AGENT if row < RARE else job % AGENTS
    return {"customer": id_of("cus", agent % CUSTOMERS), "agent": id_of("agt", agent), "job": id_of("job", job)}


def job_name(row: int) -> str:
    return "rare" if row < RARE else f"job{job_number(row) // AGENTS}"


def at(row: int) -> datetime:
    return BEGAN + timedelta(minutes=row)


def event_rows() -> Iterator[dict[str, Any]]:
    for row in range(ROWS):
        own = owner(row)
        yield {
            "id": id_of("evt", row),
            "customer_id": own["customer"],
            "agent_id": own["agent"],
            "key": str(row),
            "state": "set_aside" if row == 100 else "folded",
            "job": job_name(row),
            "activity": "backup",
            "outcome": "failure" if RARE <= row < 2 * RARE else "success" if row % 2 else None,
            "severity": "info",
            "occurred_at": at(row),
            "received_at": at(row),
            "message": "all fine, " * 20,
        }


def run_rows() -> Iterator[dict[str, Any]]:
    for row in range(ROWS):
        own = owner(row)
        yield {
            "id": id_of("run", row),
            "customer_id": own["customer"],
            "job_id": own["job"],
            "run_key": str(row),
            "started_at": at(row),
            "ended_at": at(row),
            "heard_at": at(row),
            "outcome": "failure" if RARE <= row < 2 * RARE else "success",
            "severity": "info",
            "metrics": {},
        }


def alert_rows() -> Iterator[dict[str, Any]]:
    for row in range(ROWS):
        own = owner(row)
        is_open = row in (RARE, RARE + 1)
        yield {
            "id": id_of("alr", row),
            "customer_id": own["customer"],
            "agent_id": own["agent"],
            "job_id": own["job"],
            "subject_id": own["job"],
            "kind": "failed",
            "severity": "error",
            "reason": "it failed",
            "since": at(row),
            "opened_at": at(row),
            "last_at": at(row),
            "repeats": 0,
            "acknowledged_at": at(row) if row == RARE else None,
            "closed_at": None if is_open else at(row),
            "closed_reason": None if is_open else "recovered",
        }


def notice_rows() -> Iterator[dict[str, Any]]:
    for row in range(ROWS):
        own = owner(row)
        yield {
            "id": id_of("ntc", row),
            "customer_id": own["customer"],
            "recipient_id": id_of("rcp", 1 if row < RARE else 2),
            "alert_id": id_of("alr", row),
            "what": "opened",
            "state": "suppressed" if RARE <= row < 2 * RARE else "worded",
            "reason": "first notice to this route",
            "due_at": at(row),
            "group_key": "",
            "urgency": 1,
            "message_id": id_of("msg", row),
            "dedupe": str(row),
            "created_at": at(row),
        }


def message_rows() -> Iterator[dict[str, Any]]:
    for row in range(ROWS):
        own = owner(row)
        yield {
            "id": id_of("msg", row),
            "customer_id": own["customer"],
            "recipient_id": id_of("rcp", 1 if row < RARE else 2),
            "transport": "smtp",
            "place": 0,
            "address": "ops@example.com",
            "state": "dead" if RARE <= row < 2 * RARE else "sent",
            "urgency": 1,
            "is_alert": True,
            "subject": "it failed",
            "message_id": f"<{row}@tocsin>",
            "created_at": at(row),
            "due_at": at(row),
            "move_on_at": at(row),
            "give_up_at": at(row),
            "attempts": 1,
            "maybe_sent": False,
            "settled_at": at(row),
        }


def customer_rows() -> Iterator[dict[str, Any]]:
    for number in range(CUSTOMERS):
        yield {"id": id_of("cus", number), "name": f"customer{number}", "time_zone": "UTC", "created_at": BEGAN}


def agent_rows() -> Iterator[dict[str, Any]]:
    for number in range(AGENTS):
        customer = id_of("cus", number % CUSTOMERS)
        yield {
            "id": id_of("agt", number),
            "customer_id": customer,
            "name": f"host{number}",
            "labels": {},
            "created_at": BEGAN,
        }


def job_rows() -> Iterator[dict[str, Any]]:
    for row in (0, *range(RARE, RARE + AGENTS * JOBS_EACH)):
        own = owner(row)
        yield {
            "id": own["job"],
            "customer_id": own["customer"],
            "agent_id": own["agent"],
            "name": job_name(row),
            "activity": "backup",
            "labels": {},
            "state": "ok",
            "failures_in_row": 0,
            "warnings_in_row": 0,
            "missed_in_row": 0,
            "created_at": BEGAN,
        }


ALWAYS = ((customers, customer_rows), (agents, agent_rows), (jobs, job_rows))
HISTORY: dict[str, tuple[tuple[Table, Any], ...]] = {
    "events": ((events, event_rows),),
    "runs": ((runs, run_rows),),
    "alerts": ((alerts, alert_rows),),
    "notices": ((alerts, alert_rows), (notices, notice_rows)),
    "messages": ((alerts, alert_rows), (notices, notice_rows), (messages, message_rows)),
}


async def fill(api: Api, noun: str) -> None:
    for table, rows in (*ALWAYS, *HISTORY[noun]):
        async with api.context.database.write() as tx:
            await tx.connection.execute(insert(table), list(rows()))
    if not api.context.database.is_sqlite:
        async with api.context.database.write() as tx:
            await tx.connection.execute(text("ANALYZE"))


@dataclass(slots=True)
class Work:
    """What the statements of a request cost when they are run once more."""

    statements: list[tuple[str, Any]] = field(default_factory=list)

    @contextmanager
    def noted(self, api: Api) -> Iterator[None]:
        engine = api.context.database.engines.reader.sync_engine

        def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_more: object) -> None:
            self.statements.append((statement, parameters))

        event.listen(engine, "before_cursor_execute", note)
        try:
            yield
        finally:
            event.remove(engine, "before_cursor_execute", note)

    async def assert_small(self, api: Api, noun: str) -> None:
        """Fail if the statements read a table as a whole, or too many rows."""
        if api.context.database.is_sqlite:
            self._count_steps(api.context.settings.database.split(":///", 1)[1], noun)
            return
        read = 0
        async with api.context.database.read() as tx:
            for statement, parameters in self.statements:
                explain = "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + statement
                plan = (await tx.connection.exec_driver_sql(explain, parameters)).scalar_one()
                [whole] = json.loads(plan) if isinstance(plan, str) else plan
                for node in nodes_of(whole["Plan"]):
                    assert (node["Node Type"], node.get("Relation Name")) != ("Seq Scan", noun), statement
                    if "Relation Name" in node:
                        looked_at = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
                        read += looked_at * node["Actual Loops"]
        assert read <= ROWS_MOST, self.statements

    def _count_steps(self, path: str, noun: str) -> None:
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 100
            return 0

        connection = sqlite3.connect(path)
        for statement, parameters in self.statements:
            plan = [row[-1] for row in connection.execute("EXPLAIN QUERY PLAN " + statement, parameters)]
            scans = [line for line in plan if line.startswith(f"SCAN {noun}") and "INDEX" not in line]
            assert not scans, (statement, plan)
            connection.set_progress_handler(count, 100)
            connection.execute(statement, parameters).fetchall()
            connection.set_progress_handler(None, 0)
        connection.close()
        assert steps <= STEPS_MOST, self.statements


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes_of(below)


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


RARE_JOB = id_of("job", AGENTS * JOBS_EACH)
AGENT, CUSTOMER = id_of("agt", RARE_AGENT), id_of("cus", RARE_AGENT)
# What is asked, and how many rows there are.
OF_JOB = [
    ({"job": "rare"}, RARE),
    ({"job_id": RARE_JOB}, RARE),
    ({"job": "rare", "agent": f"host{RARE_AGENT}"}, RARE),
    ({"job": "rare", "customer_id": CUSTOMER}, RARE),
    ({"job": "rare", "agent": "host8"}, 0),
    ({"job": "nothing"}, 0),
]
OF_MANY = [
    ({}, ROWS),
    ({"agent": f"host{RARE_AGENT}"}, None),
    ({"agent_id": AGENT}, None),
    ({"customer_id": CUSTOMER}, None),
]
QUESTIONS: dict[str, list[tuple[dict[str, str], int | None]]] = {
    "events": [
        *OF_JOB,
        *OF_MANY,
        ({"job": "job1"}, None),
        ({"outcome": "failure"}, RARE),
        ({"outcome": "failure", "customer_id": id_of("cus", 5)}, RARE // CUSTOMERS),
        ({"outcome": "failure", "agent_id": id_of("agt", 5)}, 1),
        ({"outcome": "failure", "job": "rare"}, 0),
        ({"outcome": "cancelled"}, 0),
        ({"activity": "restore"}, 0),
        ({"state": "new"}, 0),
        ({"state": "set_aside"}, 1),
        ({"state": "folded"}, ROWS - 1),
        ({"job": "rare", "until": at(ROWS).isoformat()}, None),
    ],
    "runs": [
        *OF_JOB,
        *OF_MANY,
        ({"outcome": "failure"}, RARE),
        ({"outcome": "failure", "customer_id": id_of("cus", 5)}, RARE // CUSTOMERS),
        ({"outcome": "failure", "job": "rare"}, 0),
        ({"outcome": "running"}, 0),
    ],
    "alerts": [
        *OF_JOB,
        *OF_MANY,
        ({"state": "open"}, 2),
        ({"state": "acknowledged"}, 1),
        ({"state": "closed"}, ROWS - 2),
        ({"state": "closed", "job": "rare"}, RARE),
        ({"state": "open", "customer_id": CUSTOMER}, 0),
    ],
    "notices": [
        *OF_JOB,
        ({}, ROWS),
        ({"customer_id": CUSTOMER}, None),
        ({"state": "suppressed"}, RARE),
        ({"state": "suppressed", "customer_id": id_of("cus", 5)}, RARE // CUSTOMERS),
        ({"state": "waiting"}, 0),
        ({"recipient_id": id_of("rcp", 1)}, RARE),
        ({"alert_id": id_of("alr", 5)}, 1),
        ({"message_id": id_of("msg", 5)}, 1),
        ({"summary_id": id_of("sum", 5)}, 0),
    ],
    "messages": [
        *OF_JOB,
        ({}, ROWS),
        ({"customer_id": CUSTOMER}, None),
        ({"state": "dead"}, RARE),
        ({"state": "dead", "customer_id": id_of("cus", 5)}, RARE // CUSTOMERS),
        ({"state": "queued"}, 0),
        ({"recipient_id": id_of("rcp", 1)}, RARE),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("noun", list(QUESTIONS))
async def test_the_first_page_is_full_and_read_from_an_index(
    api: Api, noun: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "RECENT", 200)  # few, as in a history of millions
    await fill(api, noun)
    for params, there in QUESTIONS[noun]:
        work = Work()
        with work.noted(api):
            page = await api.tell("GET", f"/v1/{noun}", params=params)
        found = [one["id"] for one in page["items"]]
        assert found == sorted(set(found), reverse=True), params
        if there is not None:
            assert len(found) == min(50, there), params
            assert (page["next"] is not None) is (there > 50), params
        elif page["next"] is not None:
            assert len(found) == 50, params
        await work.assert_small(api, noun)


@pytest.mark.slow
async def test_an_agents_notices_and_messages_are_found_by_its_alerts(api: Api) -> None:
    """They cost as much as the agent has had alerts, whatever others had."""
    await fill(api, "messages")
    of_agent = [row for row in range(ROWS) if owner(row)["agent"] == AGENT]
    for noun, prefix in (("notices", "ntc"), ("messages", "msg")):
        page = await api.tell("GET", f"/v1/{noun}", params={"agent": f"host{RARE_AGENT}"})
        assert [one["id"] for one in page["items"]] == [id_of(prefix, row) for row in reversed(of_agent)][:50]
        assert page["next"] is not None
