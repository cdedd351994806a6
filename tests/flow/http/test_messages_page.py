"""The page of messages: all that were not sent for one cause are tried again by one button, and a file is not called a mail."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.domain.person import Role
from app.worker import run
from tests.flow.admin.test_retry_of_many import die, states
from tests.support.api import Api, serving
from tests.support.browser import browsing, link_for, person


@pytest.fixture
async def api(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(sqlite_database_url, tmp_path) as api:
        yield api


async def test_one_button_tries_all_messages_of_one_cause_again(api: Api) -> None:
    ids = await die(api, *["sender"] * 230, "550")  # more than one call of the API takes
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "robin@example.org", Role.OPERATOR))
        await browser.send(path, path)
        assert "Try again all 230 messages with sender by smtp" in (await browser.get("/messages")).text
        done = await browser.send(
            "/messages", "/act/retry", back="/messages", all="1", cause="sender", transport="smtp"
        )
        shown = (await browser.get(done.headers["location"])).text
        assert "230 messages are tried again." in shown
        assert "messages with sender" not in shown
    assert await states(api, [ids[0], ids[229], ids[230]]) == ["queued", "queued", "dead"]


async def test_a_cause_is_counted_over_all_messages_and_not_only_those_on_the_page(api: Api) -> None:
    await die(api, "sender", *["550"] * 45, "relay")
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "robin@example.org", Role.OPERATOR))
        await browser.send(path, path)
        for page in ("/messages", "/messages?state=sent"):
            shown = (await browser.get(page)).text
            assert "Try again all 45 messages with 550 by smtp" in shown
            assert "Try again 1 message with sender by smtp" in shown
            assert "Try again 1 message with relay by smtp" in shown
            assert "with connect by smtp" not in shown, "only the last attempt counts"


async def test_a_message_that_was_only_written_to_a_file_is_not_called_sent(
    sqlite_database_url: str, tmp_path: Path
) -> None:
    async with serving(sqlite_database_url, tmp_path, work=run) as api, browsing(api) as browser:
        path = await link_for(api, await person(api, "robin@example.org", Role.OPERATOR))
        await browser.send(path, path)
        await api.report(
            {"key": "1", "agent": "files01", "job": "shares", "outcome": "failure", "message": "disk is full"}
        )
        async with asyncio.timeout(60):
            while not (written := await api.items("/v1/messages", state="sent")):  # noqa: ASYNC110  (other tasks send)
                await asyncio.sleep(0.05)
        assert written[0]["transport"] == "file"
        page = (await browser.get("/messages")).text
        assert "written to a file" in page
        assert "nobody receives it" in page
        proof = (await browser.get(f"/proof/{written[0]['id']}")).text
        assert "was only written to a file" in proof
        assert "Not sent to anybody" in proof
        assert "The server accepted it" not in proof
        assert "rule &#39;" not in proof, "the rule is named once"
        assert "1 decision whom to notify, 0 notified, 1 only to a file" in proof
        assert "only written to a file: nobody receives it" in proof
        assert "Where the time went" in proof
        assert "From arrival to decision" in proof
        now = (await browser.get("/")).text
        assert "No alert reaches anybody: alerts are only written to files" in now
        assert "The last problem ended" not in now
        await api.report({"key": "2", "agent": "files01", "job": "shares", "outcome": "success"})
        async with asyncio.timeout(60):
            while "The last problem ended" not in now:  # the page keeps what it read for two seconds
                await asyncio.sleep(0.05)
                now = (await browser.get("/")).text
        assert f'<a href="/proof/{(await api.items("/v1/alerts"))[0]["id"]}">' in now


@pytest.mark.parametrize(
    ("transport", "address", "enabled", "shown"),
    [
        ("file", "a@example.org", True, "alerts are only written to files"),
        ("smtp", "a@example.org", True, None),
        ("smtp", "a@example.org", False, "no enabled route has a recipient"),
    ],
)
async def test_now_says_where_no_alert_reaches_anybody(
    api: Api, transport: str, address: str, enabled: bool, shown: str | None
) -> None:
    admin, route = (await api.items("/v1/recipients"))[0], (await api.items("/v1/routes"))[0]
    ways = [{"transport": transport, "address": address}]
    await api.tell("PATCH", f"/v1/recipients/{admin['id']}", json={"transports": ways})
    await api.tell("PATCH", f"/v1/routes/{route['id']}", json={"enabled": enabled})
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "robin@example.org", Role.READER))
        await browser.send(path, path)
        now = (await browser.get("/")).text
    assert ("No alert reaches anybody" in now) is (shown is not None)
    assert shown is None or shown in now
