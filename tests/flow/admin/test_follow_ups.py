"""An edit that concerns many rows is answered at once; the worker does the rest in pieces, and goes on after a crash between two of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admin import follow_ups
from app.compose import tick as compose
from app.decide import tick as decide
from app.domain.recipient import Address
from app.store.tables import agents, alerts, groups, messages, notices
from app.store.tables_managed import audit
from app.store.tables_managed import follow_ups as left
from app.store.transactions import HOLD_WATCHERS
from tests.support.api import Api, serving
from tests.support.fill import copy_rows, id_prefix, numbered
from tests.support.outbox import post

TO = [{"transport": "smtp", "address": "bea@example.org"}]
MANY = 2 * follow_ups.TOGETHER + 50


class Killed(BaseException):
    """What stands for `kill -9`: no code of ours handles it, and the transaction that it meets is not committed."""


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


@contextmanager
def killed_at_transaction(number: int) -> Iterator[None]:
    """Kill what runs in the block as its write transaction with this number, from 1, begins."""
    begun = 0

    @contextmanager
    def watch(_connection: AsyncConnection) -> Iterator[None]:
        nonlocal begun
        begun += 1
        if begun == number:
            raise Killed
        yield

    HOLD_WATCHERS.append(watch)
    try:
        yield
    finally:
        HOLD_WATCHERS.remove(watch)


async def rows(api: Api, table: Any, *conditions: Any) -> list[Any]:
    async with api.context.database.read() as tx:
        return list((await tx.connection.execute(select(table).where(*conditions))).all())


async def open_many_alerts(api: Api, **changed: Any) -> Any:
    """Open an alert that is reported, copy both with `changed` columns of the notice, and return the notice."""
    await api.report({"agent": "sql01", "job": "a", "outcome": "failure"})
    while await decide.tick(api.context) or await compose.tick(api.context):
        pass
    [alert], [notice] = await rows(api, alerts), await rows(api, notices, notices.c.alert_id.is_not(None))
    database, alert_prefix = api.context.database, id_prefix("alt")
    named = {"id": alert_prefix, "subject_id": id_prefix("job")}
    copied = {name: lambda number, text=text: numbered(text, number) for name, text in named.items()}
    await copy_rows(database, alerts, alert._mapping, MANY - 1, **copied)
    ids = {
        "id": lambda number: numbered(id_prefix("ntc"), number),
        "dedupe": lambda number: numbered("copy", number),
        "alert_id": lambda number: numbered(alert_prefix, number),
    }
    await copy_rows(database, notices, {**notice._mapping, **changed}, MANY - 1, **ids)
    return notice


async def change_route(api: Api) -> Callable[[], Awaitable[int]]:
    """Let the route repeat each hour. Done are notices that are repeated then."""
    first = await open_many_alerts(api)
    await api.tell("PATCH", f"/v1/routes/{first.route_id}", json={"repeat_every_s": 3600})

    async def done() -> int:
        return len(await rows(api, notices, notices.c.repeat_at == first.due_at + timedelta(hours=1)))

    return done


async def change_recipient(api: Api) -> Callable[[], Awaitable[int]]:
    """Take an address away to which messages wait. Done are those that move on."""
    await post(api.context, Address("smtp", "ann@example.org"), count=MANY)
    one = (await rows(api, messages))[0]
    await api.tell("PATCH", f"/v1/recipients/{one.recipient_id}", json={"transports": TO})

    async def done() -> int:
        return len(await rows(api, messages, messages.c.move_on_at < one.move_on_at))

    return done


async def delete_recipient(api: Api) -> Callable[[], Awaitable[int]]:
    """Delete a recipient to whom notices wait. Done are those that are withdrawn."""
    other = await api.tell("POST", "/v1/recipients", json={"name": "spare", "transports": TO})
    await open_many_alerts(api, recipient_id=other["id"], state="waiting", message_id=None)
    await api.tell("DELETE", f"/v1/recipients/{other['id']}")

    async def done() -> int:
        theirs = notices.c.recipient_id == other["id"], notices.c.state == "suppressed"
        return 1 + len(await rows(api, notices, *theirs, notices.c.reason.contains("was deleted by")))

    return done


async def end_a_silence(api: Api) -> Callable[[], Awaitable[int]]:
    """End a silence while notices are muted for hours. Done are those that are judged again."""
    now = api.context.clock()
    later = now + timedelta(hours=5)
    await open_many_alerts(api, state="muted", message_id=None, due_at=later)
    body = {"comment": "work", "ends_at": later.isoformat(), "matchers": [{"field": "job", "value": "a"}]}
    silence = await api.tell("POST", "/v1/silences", json=body)
    while await follow_ups.tick(api.context):
        pass
    async with api.context.database.write() as tx:
        await tx.connection.execute(notices.update().where(notices.c.state == "muted").values(due_at=later))
    await api.tell("DELETE", f"/v1/silences/{silence['id']}")

    async def done() -> int:
        return 1 + len(await rows(api, notices, notices.c.state == "muted", notices.c.due_at < later))

    return done


async def delete_route(api: Api) -> Callable[[], Awaitable[int]]:
    """Delete a route that has had many groups. Done are those that are forgotten."""
    first = await open_many_alerts(api)
    [group] = await rows(api, groups)
    keys = {"group_key": lambda number: numbered("g", number)}
    await copy_rows(api.context.database, groups, group._mapping, MANY - 1, **keys)
    await api.tell("DELETE", f"/v1/routes/{first.route_id}")

    async def done() -> int:
        return MANY - len(await rows(api, groups))

    return done


async def reject_agent(api: Api) -> Callable[[], Awaitable[int]]:
    """Reject an agent with many open alerts. Done are those that are closed."""
    first = await open_many_alerts(api, state="waiting", message_id=None)
    [alert] = await rows(api, alerts, alerts.c.id == first.alert_id)
    async with api.context.database.write() as tx:
        await tx.connection.execute(agents.update().where(agents.c.id == alert.agent_id).values(state="waiting"))
    await api.tell("POST", f"/v1/agents/{alert.agent_id}:reject")

    async def done() -> int:
        closed = len(await rows(api, alerts, alerts.c.closed_reason.contains("was rejected by")))
        suppressed = 1 + len(await rows(api, notices, notices.c.state == "suppressed"))
        return min(closed, suppressed)

    return done


@pytest.mark.parametrize(
    "edit", [change_route, change_recipient, delete_recipient, end_a_silence, delete_route, reject_agent]
)
async def test_an_edit_is_finished_although_the_worker_is_killed_between_two_pieces(
    api: Api, edit: Callable[[Api], Awaitable[Callable[[], Awaitable[int]]]]
) -> None:
    done = await edit(api)
    entries = len(await rows(api, audit))
    with killed_at_transaction(2), pytest.raises(Killed):
        await follow_ups.tick(api.context)
    assert 0 < await done() < MANY, "one piece is committed"
    assert await rows(api, left)
    await asyncio.gather(follow_ups.tick(api.context), follow_ups.tick(api.context))  # as two workers would
    while await rows(api, left):
        await follow_ups.tick(api.context)
    assert await done() == MANY
    assert len(await rows(api, audit)) == entries, "the edit has its entry already"


async def test_what_a_newer_version_left_to_do_does_not_stop_other_edits(api: Api) -> None:
    now = api.context.clock()
    newer = {"kind": "of a newer version", "subject_id": "x", "at": now, "reason": "", "after": ""}
    async with api.context.database.write() as tx:
        await tx.connection.execute(insert(left), [{**newer, "id": f"fup_{number:04}"} for number in range(30)])
    done = await reject_agent(api)
    while await follow_ups.tick(api.context):
        pass
    assert await done() == MANY
    assert len(await rows(api, left)) == 30, "left for the newer version"
