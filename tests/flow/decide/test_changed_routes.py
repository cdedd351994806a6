"""A route that is edited or deleted while alerts are open: repeats follow the edit, and each failure that was reported gets its recovery."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.admin import follow_ups
from app.compose import tick as compose
from app.decide import tick as decide
from app.store.tables import notices
from tests.support.api import Api, serving


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def alert_notices(api: Api) -> list[Any]:
    """Return the notices about alerts, oldest first."""
    await follow_ups.tick(api.context)
    await decide.tick(api.context)
    while await compose.tick(api.context):
        pass
    async with api.context.database.read() as tx:
        rows = await tx.connection.execute(notices.select().order_by(notices.c.id))
        return [row for row in rows if row.alert_id]


async def route(api: Api) -> dict[str, Any]:
    [found] = await api.items("/v1/routes")
    return found


async def test_a_new_repeat_interval_holds_for_alerts_that_were_reported_already(api: Api) -> None:
    path = f"/v1/routes/{(await route(api))['id']}"
    await api.tell("PATCH", path, json={"repeat_every_s": None})
    await api.report({"agent": "sql01", "job": "a", "outcome": "failure"})
    [first] = await alert_notices(api)
    assert (first.state, first.repeat_at) == ("worded", None)
    await api.tell("PATCH", path, json={"repeat_every_s": 3600})
    [first] = await alert_notices(api)
    assert first.repeat_at == first.due_at + timedelta(hours=1)
    await api.tell("PATCH", path, json={"repeat_every_s": 7200})
    assert (await alert_notices(api))[0].repeat_at == first.due_at + timedelta(hours=2)
    await api.tell("PATCH", path, json={"enabled": False})
    assert (await alert_notices(api))[0].repeat_at is None
    await api.tell("PATCH", path, json={"enabled": True})
    assert (await alert_notices(api))[0].repeat_at == first.due_at + timedelta(hours=2)


async def test_a_new_repeat_interval_does_not_concern_closed_and_acknowledged_alerts(api: Api) -> None:
    path = f"/v1/routes/{(await route(api))['id']}"
    await api.tell("PATCH", path, json={"repeat_every_s": None, "group_interval_s": 0})
    for job in ("a", "b"):
        await api.report({"agent": "sql01", "job": job, "outcome": "failure"})
    await alert_notices(api)
    one, other = await api.items("/v1/alerts")
    await api.tell("POST", f"/v1/alerts/{one['id']}:acknowledge")
    await api.tell("POST", f"/v1/alerts/{other['id']}:close", json={"reason": "old"})
    await api.tell("PATCH", path, json={"repeat_every_s": 60})
    opened = [notice for notice in await alert_notices(api) if notice.what == "opened"]
    assert [notice.repeat_at for notice in opened] == [None, None]


async def test_a_reported_failure_gets_its_recovery_though_the_route_was_deleted(api: Api) -> None:
    await api.report({"agent": "sql01", "job": "a", "outcome": "failure"})
    await alert_notices(api)
    gone = await route(api)
    assert (await api.ask("DELETE", f"/v1/routes/{gone['id']}")).status_code == 204
    await api.report({"agent": "sql01", "job": "a", "outcome": "success"})
    opened, recovered = await alert_notices(api)
    assert (recovered.what, recovered.state, recovered.recipient_id) == ("recovered", "worded", opened.recipient_id)
    assert recovered.reason.endswith("by a route that was deleted since")
