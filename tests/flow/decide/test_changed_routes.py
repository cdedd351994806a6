"""A route that is edited or deleted while alerts are open: they follow it, and nobody is left with half of a story."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.compose import tick as compose
from app.decide import tick as decide
from app.store.tables import notices
from tests.support.api import Api, serving


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def told(api: Api) -> list[Any]:
    """What was told of alerts, oldest first."""
    await decide.tick(api.context)
    while await compose.tick(api.context):
        pass
    async with api.context.database.read() as tx:
        rows = await tx.connection.execute(notices.select().order_by(notices.c.id))
        return [row for row in rows if row.alert_id]


async def route(api: Api) -> dict[str, Any]:
    [found] = await api.items("/v1/routes")
    return found


async def test_a_reminder_that_is_set_reaches_alerts_that_were_told_already(api: Api) -> None:
    path = f"/v1/routes/{(await route(api))['id']}"
    await api.tell("PATCH", path, json={"repeat_every_s": None})
    await api.report({"agent": "sql01", "job": "a", "outcome": "failure"})
    [first] = await told(api)
    assert (first.state, first.repeat_at) == ("worded", None)
    await api.tell("PATCH", path, json={"repeat_every_s": 3600})
    [first] = await told(api)
    assert first.repeat_at == first.due_at + timedelta(hours=1)
    await api.tell("PATCH", path, json={"repeat_every_s": 7200})
    assert (await told(api))[0].repeat_at == first.due_at + timedelta(hours=2)
    await api.tell("PATCH", path, json={"enabled": False})
    assert (await told(api))[0].repeat_at is None
    await api.tell("PATCH", path, json={"enabled": True})
    assert (await told(api))[0].repeat_at == first.due_at + timedelta(hours=2)


async def test_a_reminder_that_is_set_leaves_closed_and_acknowledged_alerts_alone(api: Api) -> None:
    path = f"/v1/routes/{(await route(api))['id']}"
    await api.tell("PATCH", path, json={"repeat_every_s": None, "group_interval_s": 0})
    for job in ("a", "b"):
        await api.report({"agent": "sql01", "job": job, "outcome": "failure"})
    await told(api)
    one, other = await api.items("/v1/alerts")
    await api.tell("POST", f"/v1/alerts/{one['id']}:acknowledge")
    await api.tell("POST", f"/v1/alerts/{other['id']}:close", json={"reason": "old"})
    await api.tell("PATCH", path, json={"repeat_every_s": 60})
    assert [notice.repeat_at for notice in await told(api)] == [None, None]


async def test_who_heard_of_a_failure_hears_of_its_end_though_the_route_is_gone(api: Api) -> None:
    await api.report({"agent": "sql01", "job": "a", "outcome": "failure"})
    await told(api)
    gone = await route(api)
    assert (await api.ask("DELETE", f"/v1/routes/{gone['id']}")).status_code == 204
    await api.report({"agent": "sql01", "job": "a", "outcome": "success"})
    opened, recovered = await told(api)
    assert (recovered.what, recovered.state, recovered.recipient_id) == ("recovered", "worded", opened.recipient_id)
    assert recovered.reason.endswith("by a route that was deleted since")
