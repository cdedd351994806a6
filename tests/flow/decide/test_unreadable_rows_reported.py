"""Rows that this version cannot read are reported by an alert of the agent Tocsin and by doctor, unless the next minutes solve it, as in an upgrade."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, update

from app.cli.unreadable_check import check_unreadable
from app.decide import missed, unreadable_rows
from app.domain.unreadable import JOB
from app.store import unreadable
from app.store.heartbeats import Heartbeat, write_heartbeat
from app.store.tables import agents, alerts, customers, jobs
from app.store.tables_managed import routes
from tests.support.context import SystemUnderTest, open_system

MATCHERS = [{"field": "job", "test": "regex", "value": "x"}]


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def live_on(system: SystemUnderTest, minutes: float) -> None:
    await missed.tick(system.context)
    await unreadable_rows.tick(system.context)
    await system.decide()
    system.pass_time(minutes=minutes)


async def change(system: SystemUnderTest, table: Table, **values: Any) -> None:
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(table).values(**values))


async def doctor_lines(system: SystemUnderTest) -> list[str]:
    async with system.context.database.read() as tx:
        return [str(one) for one in await check_unreadable(tx, system.time[0])]


async def alerts_about_rows(system: SystemUnderTest) -> list[Any]:
    of_rows = [job.id for job in await system.rows(jobs, jobs.c.name == JOB)]
    return await system.rows(alerts, alerts.c.job_id.in_(of_rows))


async def test_a_route_that_cannot_be_read_is_reported_until_it_can(system: SystemUnderTest) -> None:
    [route] = await system.rows(routes)
    await change(system, routes, matchers=MATCHERS)
    await live_on(system, 4)
    assert "routes" in (await doctor_lines(system))[0]
    await live_on(system, 2)
    assert not await alerts_about_rows(system), "an upgrade of several workers takes minutes"
    await live_on(system, 1)
    [alert] = await alerts_about_rows(system)
    assert f"{route.id} in routes" in alert.message
    assert alert.closed_at is None
    await change(system, routes, matchers=[])
    await live_on(system, 1)
    [alert] = await alerts_about_rows(system)
    assert alert.closed_at is not None
    assert await doctor_lines(system) == []
    await change(system, routes, matchers=MATCHERS)
    await live_on(system, 6)
    await live_on(system, 1)
    assert len([one for one in await alerts_about_rows(system) if one.closed_at is None]) == 1, "reported again"


async def test_an_agent_that_fell_due_and_cannot_be_read_is_looked_at_again_within_minutes_and_reported(
    system: SystemUnderTest,
) -> None:
    await system.receive(activity="heartbeat")
    await system.decide()
    await change(system, agents, state="asleep")
    system.pass_time(hours=49)
    for _ in range(4):
        await live_on(system, 1.1)
    assert not await alerts_about_rows(system)
    [put_off] = await system.rows(agents, agents.c.name != "Tocsin")
    assert (put_off.silent_at - system.time[0]).total_seconds() < 4 * 60
    await change(system, agents, state="approved")
    await live_on(system, 4)
    await live_on(system, 1)
    assert "agent_silent" in [one.kind for one in await system.rows(alerts)], "not only after an hour"


async def test_a_restart_does_not_report_the_end_before_all_rows_were_looked_at_again(system: SystemUnderTest) -> None:
    await system.receive(activity="heartbeat")
    await system.decide()
    await change(system, agents, state="asleep")
    system.pass_time(hours=49)
    for _ in range(8):
        await live_on(system, 1.1)
    started = system.time[0]
    await look_after_restart(system, started)
    [alert] = await alerts_about_rows(system)
    assert alert.closed_at is None, "the row is put off, and still cannot be read"
    await change(system, agents, state="approved")
    system.pass_time(minutes=71)
    await look_after_restart(system, started)
    [alert] = await alerts_about_rows(system)
    assert alert.closed_at is not None


async def look_after_restart(system: SystemUnderTest, started: datetime) -> None:
    """Look as a worker does that started then and has seen no row that cannot be read."""
    unreadable.forget()
    async with system.context.database.write() as tx:
        await write_heartbeat(tx, Heartbeat("worker:host:1", started, system.time[0], (), []))
    await unreadable_rows.tick(system.context)
    await system.decide()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL keeps no time that is none
async def test_a_customer_whose_time_is_damaged_is_named(system: SystemUnderTest) -> None:
    async with system.context.database.write() as tx:
        await tx.connection.exec_driver_sql("UPDATE customers SET created_at = 'some day'")
    [line] = await doctor_lines(system)
    assert f"{system.customer_id} in {customers.name}" in line


async def test_doctor_says_what_the_workers_cannot_read(system: SystemUnderTest) -> None:
    now = system.time[0]
    family = {"name": "tocsin_unreadable_rows", "samples": [["tocsin_unreadable_rows", {}, 7.0]]}
    async with system.context.database.write() as tx:
        await write_heartbeat(tx, Heartbeat("worker:host:1", now, now, (), [family]))
    [line] = await doctor_lines(system)
    assert "cannot read 7 row(s)" in line
