"""An alert that is closed without a report ends at the programs that were sent it; nobody else hears of that, and an undone closing reaches nobody."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from app.admin.alerts import close_alert, undo_closing
from app.admin.editing import Editor
from app.admin.jobs import delete_job
from app.compose import deleted_ends
from app.compose import tick as compose
from app.decide import unended
from app.store.tables import alerts, messages
from app.store.tables_managed import recipients
from tests.support.context import SystemUnderTest, open_system

ICINGA = {"transport": "icinga2", "address": "https://icinga.example.org:5665"}
ANN = {"transport": "smtp", "address": "ann@example.org"}


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        yield system


async def report_failure(system: SystemUnderTest, to: dict[str, str]) -> str:
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(recipients).values(transports=[to]))
    await system.receive(job="db", outcome="failure")
    await system.decide()
    system.pass_time(minutes=2)
    await compose.tick(system.context)
    [alert] = await system.rows(alerts)
    return str(alert.id)


def editor(system: SystemUnderTest) -> Editor:
    return Editor("ann", system.context.clock(), system.context.wakeups.wake, who_id="prs_" + "0" * 28)


async def states_sent(system: SystemUnderTest) -> list[str]:
    await compose.tick(system.context)
    rows = await system.mails(messages.c.transport == "icinga2")
    return [one["what"] for row in rows for one in json.loads(row.webhook)["data"]["alerts"]]


async def test_what_is_closed_by_hand_ends_there_once(system: SystemUnderTest):
    alert_id, tick = await report_failure(system, ICINGA), unended.make_tick()
    async with system.context.database.write() as tx:
        await close_alert(tx, alert_id, "it is fine", editor(system))
    await tick(system.context)
    assert await states_sent(system) == ["opened"]  # it can still be undone
    for _ in range(3):
        system.pass_time(seconds=75)
        await tick(system.context)
        await unended.make_tick()(system.context)  # of another worker, or after a start
        assert await states_sent(system) == ["opened", "recovered"]


async def test_an_undone_closing_is_not_sent(system: SystemUnderTest):
    alert_id, tick, by = await report_failure(system, ICINGA), unended.make_tick(), editor(system)
    async with system.context.database.write() as tx:
        await close_alert(tx, alert_id, "by mistake", by)
    system.pass_time(seconds=50)
    await tick(system.context)
    system.context.wakeups.events.clear()
    async with system.context.database.write() as tx:
        assert await undo_closing(tx, by.at, by) == [alert_id]
    assert system.context.wakeups.events.is_set(), "what its closing withdrew is decided on at once"
    system.pass_time(minutes=5)
    await tick(system.context)
    assert await states_sent(system) == ["opened"]


async def test_an_alert_that_a_report_ended_ends_once(system: SystemUnderTest):
    await report_failure(system, ICINGA)
    await system.receive(job="db", outcome="success")
    await system.decide()
    system.pass_time(minutes=5)
    await unended.make_tick()(system.context)
    assert await states_sent(system) == ["opened", "recovered"]


async def test_people_get_no_mail_about_what_one_of_them_closed(system: SystemUnderTest):
    alert_id = await report_failure(system, ANN)
    async with system.context.database.write() as tx:
        await close_alert(tx, alert_id, "it is fine", editor(system))
    system.pass_time(minutes=5)
    await unended.make_tick()(system.context)
    await compose.tick(system.context)
    assert len(await system.mails(messages.c.is_alert)) == 1


async def test_the_alert_of_a_deleted_job_ends_there_once_with_the_names_that_it_had(system: SystemUnderTest):
    alert_id = await report_failure(system, ICINGA)
    [alert] = await system.rows(alerts)
    await delete_job(system.context.database, alert.job_id, editor(system))
    for _ in range(3):
        await deleted_ends.tick(system.context)
        await unended.make_tick()(system.context)
        assert await states_sent(system) == ["opened", "recovered"]
        system.pass_time(minutes=5)
    [_, row] = await system.mails(messages.c.transport == "icinga2")
    [ended] = json.loads(row.webhook)["data"]["alerts"]
    assert (ended["id"], ended["job"], ended["agent"]) == (alert_id, "db", "sql01")
    assert ended["closed_reason"] == "closed: the job was deleted by ann"
    assert ended["closed_at"] is not None
    assert row.is_alert


async def test_nobody_else_gets_a_message_about_a_deleted_job(system: SystemUnderTest):
    await report_failure(system, ANN)
    [alert] = await system.rows(alerts)
    await delete_job(system.context.database, alert.job_id, editor(system))
    await deleted_ends.tick(system.context)
    assert len(await system.mails(messages.c.is_alert)) == 1
