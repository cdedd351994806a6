"""What is kept no longer goes, in batches; what is unfinished or still spoken of stays, however old it is."""

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
from app.store.retention import save_retention
from app.store.tables import alerts, attempts, bodies, events, job_days, jobs, messages, notices, runs
from tests.support.context import Lived, live_in

OLD = 500  # days; more than any of the defaults keeps


@pytest.fixture
async def lived(database_url: str, tmp_path: Path) -> AsyncIterator[Lived]:
    async with live_in(database_url, tmp_path, log_level="error") as lived:
        yield lived


def id_made(noun: str, moment: datetime) -> str:
    return first_id_at(noun, moment) + f"{random.getrandbits(64):016x}"


class Archive:
    """Puts rows into the past of a house."""

    def __init__(self, lived: Lived, days_ago: float = OLD) -> None:
        self.lived = lived
        self.at = lived.time[0] - timedelta(days=days_ago)

    async def put(self, table: Table, noun: str, **values: Any) -> str:
        thing = id_made(noun, self.at)
        async with self.lived.context.database.write() as tx:
            await tx.connection.execute(insert(table), [{"id": thing, **values}])
        return thing

    async def event(self, state: str = "folded") -> str:
        return await self.put(
            events,
            "evt",
            customer_id=self.lived.customer_id,
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
            customer_id=self.lived.customer_id,
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
        async with self.lived.context.database.write() as tx:
            await tx.connection.execute(bodies.insert().values(message_id=one, mail=b"Subject: s\r\n\r\n"))
        return one


async def ids(lived: Lived, table: Table) -> set[str]:
    return {row.id for row in await lived.rows(table)}


async def purge_all(lived: Lived) -> None:
    while await purge.tick(lived.context):
        pass


async def test_old_history_goes_and_young_history_stays(lived: Lived) -> None:
    old, young = Archive(lived), Archive(lived, days_ago=1)
    kept: dict[str, set[str]] = {"events": set(), "alerts": set(), "notices": set(), "messages": set()}
    for archive in (old, young):
        event, alert, message = await archive.event(), await archive.alert(), await archive.message()
        made = {"events": event, "alerts": alert, "messages": message, "notices": await archive.notice(alert, message)}
        if archive is young:
            kept = {name: {one} for name, one in made.items()}
    await purge_all(lived)
    found = {table.name: await ids(lived, table) for table in (events, alerts, notices, messages)}
    assert found == kept
    assert len(await ids(lived, attempts)) == len(await lived.mails()) == 1
    async with lived.context.database.read() as tx:
        assert len((await tx.connection.execute(bodies.select())).all()) == 1


async def test_events_go_sooner_than_the_rest(lived: Lived) -> None:
    middling = Archive(lived, days_ago=100)
    await middling.event()
    alert = await middling.alert()
    await purge_all(lived)
    assert (await ids(lived, events), await ids(lived, alerts)) == (set(), {alert})


async def test_what_was_not_judged_yet_is_never_removed(lived: Lived) -> None:
    new = await Archive(lived).event(state="new")
    await Archive(lived).event(state="set_aside")
    await purge_all(lived)
    assert await ids(lived, events) == {new}


async def test_what_an_open_alert_points_at_stays(lived: Lived) -> None:
    archive = Archive(lived)
    event = await archive.event()
    alert = await archive.alert(event, is_open=True)
    message = await archive.message()
    notice = await archive.notice(alert, message)
    await purge_all(lived)
    found = [await ids(lived, table) for table in (events, alerts, messages, notices)]
    assert found == [{event}, {alert}, {message}, {notice}]
    async with lived.context.database.write() as tx:
        await tx.connection.execute(update(alerts).values(closed_at=archive.at))
    await purge_all(lived)
    assert [await ids(lived, table) for table in (events, alerts, messages, notices)] == [set()] * 4


@pytest.mark.parametrize("state", ["queued", "leased", "unknown"])
async def test_a_message_on_its_way_is_never_removed(lived: Lived, state: str) -> None:
    archive = Archive(lived)
    successor = await archive.message(state=state)
    moved = await archive.message(state="moved", moved_to=successor)
    waiting = await archive.notice(None, state="waiting")
    told = await archive.notice(None, successor)
    await purge_all(lived)
    assert await ids(lived, messages) == {successor, moved}
    assert await ids(lived, notices) == {waiting, told}


async def test_runs_and_roll_ups_go_but_each_job_keeps_its_last_run(lived: Lived) -> None:
    archive = Archive(lived)
    await lived.receive(job="nightly", outcome="success", occurred_at=archive.at, received_at=archive.at)
    await lived.decide()
    (job,) = await lived.rows(jobs)
    one = {"customer_id": lived.customer_id, "job_id": job.id, "severity": "info", "heard_at": archive.at}
    first, last = await archive.put(runs, "run", run_key="1", **one), await archive.put(runs, "run", run_key="2", **one)
    young = await Archive(lived, days_ago=1).put(runs, "run", run_key="3", **one)
    async with lived.context.database.write() as tx:
        await tx.connection.execute(update(jobs).values(last_run_id=last))
    assert len(await rows_of_days(lived)) == 1
    await purge_all(lived)
    left = await ids(lived, runs)
    assert first not in left
    assert {last, young} <= left
    assert await rows_of_days(lived) == []


async def rows_of_days(lived: Lived) -> list[Any]:
    async with lived.context.database.read() as tx:
        return list((await tx.connection.execute(job_days.select())).all())


async def test_more_than_a_batch_goes_in_several(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH", 3)
    for _ in range(7):
        await Archive(lived).event()
    assert await purge.tick(lived.context)
    assert len(await ids(lived, events)) == 4
    await purge_all(lived)
    assert await ids(lived, events) == set()


async def test_an_administrator_says_how_long(lived: Lived) -> None:
    await Archive(lived, days_ago=10).event()
    async with lived.context.database.write() as tx:
        await save_retention(tx, Retention(5, 400, version=1))
    await purge_all(lived)
    assert await ids(lived, events) == set()


async def test_a_dead_message_that_is_tried_again_at_this_moment_stays(lived: Lived) -> None:
    dead = await Archive(lived).message("dead")
    async with lived.context.database.write() as tx:
        await outbox.lock(tx, [dead])
        await tx.connection.execute(update(messages).values(state="queued", settled_at=None))
        purging = asyncio.create_task(purge_all(lived))
        await asyncio.wait([purging], timeout=1)  # on SQLite it waits for us
    await purging
    assert await ids(lived, messages) == {dead}
    assert [row.id for row in await lived.mails()] == [dead]
