"""The purge deletes expired rows in batches. Rows that are unfinished or still referenced stay, however old they are."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, insert, update

from app.admin import purge
from app.core.ids import first_id_at
from app.domain.retention import Retention
from app.store import outbox
from app.store import purge as batches
from app.store.purge import save_retention
from app.store.tables import alerts, attempts, bodies, events, job_days, jobs, messages, notices, runs
from tests.support.context import SystemUnderTest, open_system

OLD = 500  # days; more than any of the defaults keeps


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path, log_level="error") as system:
        yield system


def id_made(noun: str, moment: datetime) -> str:
    return first_id_at(noun, moment) + f"{random.getrandbits(64):016x}"


class Archive:
    """Inserts rows with a date in the past."""

    def __init__(self, system: SystemUnderTest, days_ago: float = OLD) -> None:
        self.system = system
        self.at = system.time[0] - timedelta(days=days_ago)

    async def put(self, table: Table, noun: str, **values: Any) -> str:
        row_id = id_made(noun, self.at)
        async with self.system.context.database.write() as tx:
            await tx.connection.execute(insert(table), [{"id": row_id, **values}])
        return row_id

    async def event(self, state: str = "folded") -> str:
        return await self.put(
            events,
            "evt",
            customer_id=self.system.customer_id,
            agent_id="agt_1",
            key=f"{random.random()}",
            state=state,
            activity="backup",
            severity="info",
            occurred_at=self.at,
            received_at=self.at,
        )

    async def alert(self, event_id: str | None = None, *, is_open: bool = False) -> str:
        return await self.put(
            alerts,
            "alr",
            customer_id=self.system.customer_id,
            agent_id="agt_1",
            subject_id=f"job_{random.random()}"[:20],
            kind="failed",
            severity="error",
            reason="1 failure",
            event_id=event_id,
            since=self.at,
            opened_at=self.at,
            last_at=self.at,
            repeats=0,
            closed_at=None if is_open else self.at,
        )

    async def notice(self, alert_id: str | None, message_id: str | None = None, state: str = "worded") -> str:
        return await self.put(
            notices,
            "ntc",
            alert_id=alert_id,
            message_id=message_id,
            what="opened",
            state=state,
            reason="first",
            due_at=self.at,
            group_key="g",
            urgency=1,
            dedupe=f"{random.random()}",
            created_at=self.at,
        )

    async def message(self, state: str = "sent", **more: Any) -> str:
        one = await self.put(
            messages,
            "msg",
            recipient_id="rcp_1",
            transport="smtp",
            place=0,
            address="a@b",
            state=state,
            urgency=1,
            is_alert=True,
            subject="s",
            message_id="<m>",
            created_at=self.at,
            due_at=self.at,
            move_on_at=self.at,
            give_up_at=self.at,
            attempts=1,
            maybe_sent=False,
            settled_at=self.at if state in ("sent", "dead", "moved") else None,
            **more,
        )
        await self.put(attempts, "att", message_id=one, number=1, holder="w", token="t", started_at=self.at)
        async with self.system.context.database.write() as tx:
            await tx.connection.execute(bodies.insert().values(message_id=one, mail=b"Subject: s\r\n\r\n"))
        return one


async def ids(system: SystemUnderTest, table: Table) -> set[str]:
    return {row.id for row in await system.rows(table)}


async def purge_all(system: SystemUnderTest) -> None:
    while await purge.tick(system.context):
        pass


async def test_old_history_is_deleted_and_recent_history_stays(system: SystemUnderTest) -> None:
    old, young = Archive(system), Archive(system, days_ago=1)
    kept: dict[str, set[str]] = {"events": set(), "alerts": set(), "notices": set(), "messages": set()}
    for archive in (old, young):
        event, alert, message = await archive.event(), await archive.alert(), await archive.message()
        made = {"events": event, "alerts": alert, "messages": message, "notices": await archive.notice(alert, message)}
        if archive is young:
            kept = {name: {one} for name, one in made.items()}
    await purge_all(system)
    found = {table.name: await ids(system, table) for table in (events, alerts, notices, messages)}
    assert found == kept
    assert len(await ids(system, attempts)) == len(await system.mails()) == 1
    async with system.context.database.read() as tx:
        assert len((await tx.connection.execute(bodies.select())).all()) == 1


async def test_events_are_deleted_earlier_than_other_history(system: SystemUnderTest) -> None:
    middling = Archive(system, days_ago=100)
    await middling.event()
    alert = await middling.alert()
    await purge_all(system)
    assert (await ids(system, events), await ids(system, alerts)) == (set(), {alert})


async def test_events_that_are_not_decided_are_never_deleted(system: SystemUnderTest) -> None:
    new = await Archive(system).event(state="new")
    await Archive(system).event(state="set_aside")
    await purge_all(system)
    assert await ids(system, events) == {new}


async def test_rows_that_an_open_alert_refers_to_stay(system: SystemUnderTest) -> None:
    archive = Archive(system)
    event = await archive.event()
    alert = await archive.alert(event, is_open=True)
    message = await archive.message()
    notice = await archive.notice(alert, message)
    await purge_all(system)
    found = [await ids(system, table) for table in (events, alerts, messages, notices)]
    assert found == [{event}, {alert}, {message}, {notice}]
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(alerts).values(closed_at=archive.at))
    await purge_all(system)
    assert [await ids(system, table) for table in (events, alerts, messages, notices)] == [set()] * 4


@pytest.mark.parametrize("state", ["queued", "leased", "unknown"])
async def test_an_unsettled_message_is_never_deleted(system: SystemUnderTest, state: str) -> None:
    archive = Archive(system)
    successor = await archive.message(state=state)
    moved = await archive.message(state="moved", moved_to=successor)
    waiting = await archive.notice(None, state="waiting")
    sent = await archive.notice(None, successor)
    await purge_all(system)
    assert await ids(system, messages) == {successor, moved}
    assert await ids(system, notices) == {waiting, sent}


async def test_runs_and_roll_ups_are_deleted_but_each_job_keeps_its_last_run(system: SystemUnderTest) -> None:
    archive = Archive(system)
    await system.receive(job="nightly", outcome="success", occurred_at=archive.at, received_at=archive.at)
    await system.decide()
    (job,) = await system.rows(jobs)
    one = {"customer_id": system.customer_id, "job_id": job.id, "severity": "info", "heard_at": archive.at}
    first, last = await archive.put(runs, "run", run_key="1", **one), await archive.put(runs, "run", run_key="2", **one)
    young = await Archive(system, days_ago=1).put(runs, "run", run_key="3", **one)
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(jobs).values(last_run_id=last))
    assert len(await rows_of_days(system)) == 1
    await purge_all(system)
    left = await ids(system, runs)
    assert first not in left
    assert {last, young} <= left
    assert await rows_of_days(system) == []


async def rows_of_days(system: SystemUnderTest) -> list[Any]:
    async with system.context.database.read() as tx:
        return list((await tx.connection.execute(job_days.select())).all())


@pytest.mark.slow
async def test_more_rows_than_one_batch_are_deleted_in_several(
    system: SystemUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH", 3)
    monkeypatch.setattr(purge, "_BATCHES", 1)  # before the other kinds have their turn
    for _ in range(7):
        await Archive(system).event()
    assert await purge.tick(system.context)
    assert len(await ids(system, events)) == 4
    await purge_all(system)
    assert await ids(system, events) == set()


async def test_an_administrator_sets_the_retention(system: SystemUnderTest) -> None:
    await Archive(system, days_ago=10).event()
    async with system.context.database.write() as tx:
        await save_retention(tx, Retention(5, 400, version=1))
    await purge_all(system)
    assert await ids(system, events) == set()


async def test_a_dead_message_that_is_tried_again_at_this_moment_stays(system: SystemUnderTest) -> None:
    dead = await Archive(system).message("dead")
    async with system.context.database.write() as tx:
        await outbox.lock(tx, [dead])
        await tx.connection.execute(update(messages).values(state="queued", settled_at=None))
        purging = asyncio.create_task(purge_all(system))
        await asyncio.wait([purging], timeout=1)  # on SQLite it waits for us
    await purging
    assert await ids(system, messages) == {dead}
    assert [row.id for row in await system.mails()] == [dead]
