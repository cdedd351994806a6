"""What goes beyond a key's budgets, or beyond an agent's usual, is one alert: opened once, kept up to date, closed when it is over."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from app.admin.editing import Editor
from app.admin.keys import NewKey, create_key
from app.compose import tick as compose
from app.core.ids import new_id
from app.decide import flood
from app.domain.budget import Budget
from app.domain.excess import RESULTS, Excess, is_flood
from app.domain.key import KeyKind
from app.store.excesses import add_excesses
from app.store.tables import alerts, events, excesses, job_days, jobs
from tests.support.context import SystemUnderTest, open_system


@pytest.mark.parametrize(
    ("results", "usual_a_day", "expected"),
    [
        (499, 1.0, False),  # below the floor nothing is a flood
        (500, 1.0, True),
        (4_000, 10.0, True),
        (4_000, 100.0, False),  # a host that sends what it kept for weeks
        (1_999, None, False),  # a new host that imports its history
        (2_000, None, True),
        (100_000, 2_400.0, False),  # a database whose log is backed up every minute
    ],
)
def test_when_an_agent_reports_too_much_in_an_hour(results: int, usual_a_day: float | None, expected: bool) -> None:
    assert is_flood(results, usual_a_day) is expected


async def a_key(system: SystemUnderTest) -> str:
    async with system.context.database.write() as tx:
        wanted = NewKey(KeyKind.ENROL, "Acme hosts", system.customer_id, budgets={Budget.EVENTS: 600})
        editor = Editor("test", system.time[0], lambda _: None)
        key, _ = await create_key(tx, system.context.secret, wanted, editor)
    return key.id


async def note(system: SystemUnderTest, key_id: str, what: str, count: int, **more: Any) -> None:
    now = system.time[0]
    fields = {"agent_id": "", "since": now, "last_at": now, **more}
    async with system.context.database.write() as tx:
        await add_excesses(tx, [Excess(key_id, what, customer_id=system.customer_id, events=count, **fields)])


async def look(system: SystemUnderTest) -> None:
    await flood.tick(system.context)
    await system.decide()
    while await compose.tick(system.context):
        pass


async def history(system: SystemUnderTest, agent: str, results_a_day: int) -> str:
    agent_id, job_id = await system.agent(agent), new_id("job")
    job = {
        "id": job_id,
        "customer_id": system.customer_id,
        "agent_id": agent_id,
        "name": "nightly",
        "activity": "backup",
    }
    state = {"labels": {}, "state": "ok", "failures_in_row": 0, "warnings_in_row": 0, "missed_in_row": 0}
    zero = dict.fromkeys(
        ("warnings", "failures", "cancelled", "missed", "unclear", "bytes_processed", "bytes_stored"), 0
    )
    today = system.time[0].date()
    days = [
        {"customer_id": system.customer_id, "job_id": job_id, "day": today - timedelta(days=ago), "duration_s": 0.0, **zero, "successes": results_a_day}
        for ago in range(15)
    ]  # fmt: skip
    async with system.context.database.write() as tx:
        await tx.connection.execute(insert(jobs), [{**job, **state, "created_at": system.time[0]}])
        await tx.connection.execute(insert(job_days), days)
    return agent_id


async def test_what_was_refused_is_one_alert_that_names_key_budget_and_agent(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        key_id = await a_key(system)
        for minute in range(30):
            await note(system, key_id, "events_a_minute", 100, most_of="sql01")
            await look(system)
            system.pass_time(minutes=1)
            assert len(await system.rows(alerts)) == 1, minute
        (alert,) = await system.rows(alerts)
        assert alert.closed_at is None
        (mail,) = await system.mails()
        text = mail.mail.decode().replace("=\r\n", "").replace("\r\n", " ")
        assert "Acme hosts" in text
        assert "beyond the budget of 600 events a minute, most of them of agent sql01" in text
        assert "Failures are accepted all the same" in text
        system.pass_time(minutes=16)
        await look(system)
        (alert,) = await system.rows(alerts)
        assert alert.closed_at is not None
        assert [it.outcome for it in await system.rows(events)] == ["failure", "success"]
        await look(system)
        assert len(await system.rows(events)) == 2


async def test_an_agent_that_reports_hundreds_of_times_its_usual_is_one_alert(
    database_url: str, tmp_path: Path
) -> None:
    async with open_system(database_url, tmp_path) as system:
        key_id = await a_key(system)
        loud, busy = await history(system, "web01", 10), await history(system, "db01", 2_000)
        await note(system, key_id, RESULTS, 4_000, failures=3_900, agent_id=loud)
        await note(system, key_id, RESULTS, 4_000, agent_id=busy)
        await look(system)
        (alert,) = await system.rows(alerts)
        assert "agent web01 reports 400 times its usual: 4000 results" in alert.message
        assert "3900 of them no success; usually 10 a day" in alert.message
        assert "db01" not in alert.message
        system.pass_time(minutes=50)
        await note(system, key_id, RESULTS, 9_000, failures=8_900, agent_id=loud)
        await look(system)
        system.pass_time(minutes=20)
        await note(system, key_id, RESULTS, 700, failures=600, agent_id=loud)  # the next hour
        await look(system)
        (alert,) = await system.rows(alerts)
        assert "agent web01 reports 70 times its usual" in alert.message  # the present numbers, without a further mail
        assert len(await system.mails()) == 1
        system.pass_time(minutes=80)
        await look(system)
        (alert,) = await system.rows(alerts)
        assert alert.closed_at is not None


async def test_what_is_of_a_key_that_is_gone_is_forgotten(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        await note(system, "key_gone", "events_a_minute", 100)
        await look(system)
        async with system.context.database.read() as tx:
            assert (await tx.connection.execute(excesses.select())).all() == []
        assert await system.rows(events) == []
