"""Rows that fell due and cannot be read, more of them than a pass takes, stop none of those behind them. On both databases."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, func, insert, select, text, update

from app.admin import jobs as managed_jobs
from app.admin.editing import Editor
from app.core import metrics
from app.core.ids import new_id
from app.decide import learn, missed, reminders
from app.domain.expectation import Expectation
from app.http.health import check_service
from app.store.heartbeats import Heartbeat, write_heartbeat
from app.store.tables import agents, alerts, customers, jobs, notices, runs
from tests.support.context import SystemUnderTest, open_system
from tests.support.fill import copy_rows, id_prefix, numbered

LONG_AGO = timedelta(days=1)


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def copy_damaged(system: SystemUnderTest, table: Table, count: int, due: str, unique: str, **damage: Any) -> None:
    """Copy the only row of a table, so that the copies are due before it and cannot be read."""
    [row] = await system.rows(table)
    before = {**row._mapping, **damage, due: row._mapping[due] - LONG_AGO}
    prefix = id_prefix(row.id[:3])
    await copy_rows(
        system.context.database,
        table,
        before,
        count,
        id=lambda number: numbered(prefix, number),
        **{unique: lambda number: numbered("copy", number)},
    )


async def still_due(system: SystemUnderTest, column: Any) -> int:
    async with system.context.database.read() as tx:
        query = select(func.count()).select_from(column.table).where(column <= system.time[0])
        return int(await tx.connection.scalar(query) or 0)


async def expected_job(system: SystemUnderTest) -> None:
    await system.receive(job="db", phase="started", run="r")
    await system.decide()
    [job] = await system.rows(jobs)
    limits = Expectation(timedelta(hours=1), period=timedelta(hours=2), longest=timedelta(hours=1))
    by = Editor("Ann", system.time[0], system.context.wakeups.wake)
    async with system.context.database.write() as tx:
        await managed_jobs.update_job(tx, job.id, lambda before: replace(before, expectation=limits), by)


async def test_unreadable_jobs_do_not_hide_a_missed_run(system: SystemUnderTest) -> None:
    await expected_job(system)
    await copy_damaged(system, jobs, missed.BATCH + 5, "overdue_at", "name", state="paused")
    system.pass_time(hours=20)
    await system.decide()
    assert "missed" in [alert.kind for alert in await system.rows(alerts)]
    assert await still_due(system, jobs.c.overdue_at) <= 1, "at most the one that can be read"
    system.pass_time(minutes=61)
    assert await still_due(system, jobs.c.overdue_at) >= missed.BATCH, "looked at again: they may have been repaired"


async def test_unreadable_runs_do_not_hide_one_that_takes_too_long(system: SystemUnderTest) -> None:
    await expected_job(system)
    await copy_damaged(system, runs, missed.BATCH + 5, "overrun_at", "run_key", severity="dreadful")
    system.pass_time(hours=2)
    await system.decide()
    assert "overrun" in [alert.kind for alert in await system.rows(alerts)]
    assert await still_due(system, runs.c.overrun_at) == 0


async def test_unreadable_agents_do_not_hide_a_silent_one(system: SystemUnderTest) -> None:
    await system.receive(activity="heartbeat")
    await system.decide()
    await copy_damaged(system, agents, missed.AGENTS_AT_ONCE + 5, "silent_at", "name", state="on holiday")
    system.pass_time(hours=49)
    await system.decide()
    assert [alert.kind for alert in await system.rows(alerts)] == ["agent_silent"]
    assert await still_due(system, agents.c.silent_at) == 0
    async with system.context.database.write() as tx:
        now = system.time[0]
        await write_heartbeat(tx, Heartbeat("worker:a", now, now, (), metrics.snapshot()))
    [check] = [one for one in await check_service(system.context, None) if one.name == "rows"]
    assert (check.status, int(check.detail.split()[0]) >= missed.AGENTS_AT_ONCE) == ("warning", True)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL keeps no time that is none
async def test_a_customer_that_cannot_be_read_stops_nobody_elses_clock(system: SystemUnderTest) -> None:
    await system.receive(activity="heartbeat")
    await system.decide()
    damaged, other = system.customer_id, new_id("cus")
    async with system.context.database.write() as tx:
        row = {"id": other, "name": "other", "time_zone": "UTC", "created_at": system.time[0]}
        await tx.connection.execute(insert(customers), [row])
    system.customer_id, system.agent_ids = other, {}
    await system.receive(agent="sql02", activity="heartbeat")
    await expected_job(system)
    async with system.context.database.write() as tx:
        damage = text("UPDATE customers SET created_at = 'some day' WHERE id = :id")
        await tx.connection.execute(damage, {"id": damaged})
    system.pass_time(hours=49)
    await system.decide()
    of_other = await system.rows(alerts, alerts.c.customer_id == other)
    assert {alert.kind for alert in of_other} >= {"agent_silent", "missed"}
    assert await still_due(system, agents.c.silent_at) == 0, "asked again in an hour"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_customer_that_cannot_be_read_keeps_no_other_job_from_being_learned(system: SystemUnderTest) -> None:
    damaged, other = system.customer_id, new_id("cus")
    for _ in range(8):
        await system.receive(job="db", outcome="success")
        system.pass_time(hours=24)
    await system.decide()
    async with system.context.database.write() as tx:
        row = {"id": other, "name": "other", "time_zone": "UTC", "created_at": system.time[0]}
        await tx.connection.execute(insert(customers), [row])
    system.customer_id, system.agent_ids = other, {}
    for _ in range(8):
        await system.receive(agent="sql02", job="db", outcome="success")
        system.pass_time(hours=24)
    await system.decide()
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(jobs).values(learn_at=system.time[0]))
        damage = text("UPDATE customers SET created_at = 'some day' WHERE id = :id")
        await tx.connection.execute(damage, {"id": damaged})
    while await learn.tick(system.context):
        pass
    [of_other] = await system.rows(jobs, jobs.c.customer_id == other)
    assert of_other.proposed_expectation is not None
    assert await still_due(system, jobs.c.learn_at) == 0, "learned in an hour"


async def test_unreadable_jobs_do_not_keep_others_from_being_learned(system: SystemUnderTest) -> None:
    for _ in range(8):
        await system.receive(job="db", outcome="success")
        await system.decide()
        system.pass_time(days=1)
    [job] = await system.rows(jobs)
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(jobs).values(learn_at=system.time[0], proposed_expectation=None))
    await copy_damaged(system, jobs, learn.BATCH + 5, "learn_at", "name", state="paused")
    while await learn.tick(system.context):
        pass
    [job] = await system.rows(jobs, jobs.c.id == job.id)
    assert job.proposed_expectation is not None
    assert await still_due(system, jobs.c.learn_at) == 0


@pytest.mark.parametrize("table", [notices, alerts])
async def test_an_unreadable_notice_or_alert_does_not_stop_the_repeats_of_others(
    system: SystemUnderTest, table: Table
) -> None:
    for name in ("a", "b"):
        await system.receive(job=name, outcome="failure", severity="critical")
        await system.decide()
    async with system.context.database.write() as tx:
        due = {"state": "worded", "repeat_at": system.time[0]}
        await tx.connection.execute(update(notices).where(notices.c.what == "opened").values(**due))
    first, second = (row for row in await system.rows(notices) if row.what == "opened")
    damaged = first.id if table is notices else first.alert_id
    values = {"what": "shouted"} if table is notices else {"severity": "dreadful"}
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(table).where(table.c.id == damaged).values(**values))
    system.pass_time(minutes=1)
    await reminders.tick(system.context)
    repeated = [row.alert_id for row in await system.rows(notices) if row.what == "repeated"]
    assert repeated == [second.alert_id]
    assert await still_due(system, notices.c.repeat_at) == 0
    [kept] = [row for row in await system.rows(notices) if row.id == first.id]
    assert kept.repeat_at is not None, "put off, and not lost"
