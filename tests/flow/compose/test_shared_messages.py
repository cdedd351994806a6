"""What somebody who sees one customer learns from the chain of its alert, where a message is about several customers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.compose import tick as compose
from app.decide import tick as decide
from app.domain.person import Role
from tests.support.api import Api, serving
from tests.support.browser import Browser, browsing, link_for, person


@pytest.fixture
async def api(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(sqlite_database_url, tmp_path) as api:
        yield api


async def _reader_of_one(api: Api, browser: Browser) -> str:
    """Make one message about alerts of two customers, sign a reader of one in, and return the id of that customer's alert."""
    [route] = await api.items("/v1/routes")
    await api.tell("PATCH", f"/v1/routes/{route['id']}", json={"group_by": [], "group_wait_s": 0})
    other = (await api.tell("POST", "/v1/customers", json={"name": "Hidden Ltd", "time_zone": "UTC"}))["id"]
    key = (await api.tell("POST", "/v1/keys", json={"kind": "enrol", "name": "two", "customer_id": other}))["key"]
    failed = {"agent": "files01", "job": "shares", "outcome": "failure"}
    await api.report(failed)
    await api.tell("POST", "/v1/events", key=key, json=[{**failed, "job": "hidden-job"}])
    while await decide.tick(api.context):
        pass
    while await compose.tick(api.context):
        pass
    [alert] = [one for one in await api.items("/v1/alerts") if one["customer_id"] != other]
    path = await link_for(api, await person(api, "lee@example.org", Role.READER, (alert["customer_id"],)))
    await browser.send(path, path)
    return str(alert["id"])


async def test_a_message_about_several_customers_shows_nothing_of_the_others(api: Api) -> None:
    async with browsing(api) as browser:
        alert_id = await _reader_of_one(api, browser)
        [message] = await api.items("/v1/messages")
        assert message["customer_id"] is None
        page = await browser.get(f"/proof/{alert_id}")
        assert page.status_code == 200
        assert message["id"] in page.text
        assert "Hidden" not in page.text
        assert "hidden-job" not in page.text
        assert message["subject"] not in page.text
        assert (await browser.get(f"/mail/{message['id']}/shown")).status_code == 404


async def test_recipients_and_routes_that_do_not_concern_the_alert_cannot_be_guessed(api: Api) -> None:
    async with browsing(api) as browser:
        alert_id = await _reader_of_one(api, browser)
        to = [{"transport": "file", "address": "boss@hidden.example"}]
        boss = await api.tell("POST", "/v1/recipients", json={"name": "boss", "transports": to})
        matchers = [{"field": "agent", "test": "is", "value": "elsewhere"}]
        route = {"name": "hidden route", "recipients": [boss["id"]], "matchers": matchers}
        await api.tell("POST", "/v1/routes", json=route)
        page = await browser.get(f"/proof/{alert_id}?about=boss@hidden.example")
        assert "There is no recipient called boss@hidden.example" in page.text
        assert "hidden route" not in page.text
        known = await browser.get(f"/proof/{alert_id}?about=admin")
        assert "was notified" in known.text
