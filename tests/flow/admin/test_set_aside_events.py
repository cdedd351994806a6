"""Events that were set aside are decided again when an administrator asks for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.admin import events
from app.decide import tick as decide
from app.store.events import set_event_aside
from tests.support.api import ENROL_KEY, Api, serving

FAILED = {"agent": "sql01", "job": "nightly", "outcome": "failure"}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def set_aside(api: Api, count: int) -> list[str]:
    await api.report(*(FAILED | {"key": f"{n}"} for n in range(count)))
    ids = [one["id"] for one in await api.items("/v1/events")]
    async with api.context.database.write() as tx:
        for event_id in ids:
            await set_event_aside(tx, event_id, "KeyError: a defect")
    return ids


async def test_an_event_is_decided_again(api: Api) -> None:
    [event_id] = await set_aside(api, 1)
    await decide.tick(api.context)
    assert await api.items("/v1/alerts") == []
    api.context.wakeups.events.clear()
    event = await api.tell("POST", f"/v1/events/{event_id}:retry")
    assert (event["id"], event["state"], event["error"]) == (event_id, "new", None)
    assert api.context.wakeups.events.is_set()
    [entry] = await api.items("/v1/audit", action="retry")
    assert (entry["noun"], entry["thing_id"], entry["change"]) == ("event", event_id, {"was": "KeyError: a defect"})
    await decide.tick(api.context)
    assert [one["kind"] for one in await api.items("/v1/alerts")] == ["failed"]
    refused = await api.ask("POST", f"/v1/events/{event_id}:retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal_move")
    assert (await api.ask("POST", f"/v1/events/evt_{'0' * 28}:retry")).status_code == 404


async def test_all_are_decided_again_in_several_calls(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = await set_aside(api, 5)
    monkeypatch.setattr(events, "RETRIES_MOST", 3)
    answers = [await api.tell("POST", "/v1/events:retry-set-aside") for _ in range(3)]
    assert answers == [{"retried": 3}, {"retried": 2}, {"retried": 0}]
    assert {one["id"] for one in await api.items("/v1/events", state="new")} == set(ids)
    assert [one["change"] for one in await api.items("/v1/audit", action="retry")] == [{"retried": 2}, {"retried": 3}]


async def test_only_an_administrator_may_retry(api: Api) -> None:
    for path in ("/v1/events:retry-set-aside", f"/v1/events/evt_{'0' * 28}:retry"):
        assert (await api.ask("POST", path, key=ENROL_KEY)).status_code == 403
