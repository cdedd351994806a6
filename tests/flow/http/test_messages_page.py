"""The page of messages: all that were not sent for one cause are tried again by one button."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.domain.person import Role
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
        assert "Try again all messages with sender by smtp" in (await browser.get("/messages")).text
        done = await browser.send(
            "/messages", "/act/retry", back="/messages", all="1", cause="sender", transport="smtp"
        )
        shown = (await browser.get(done.headers["location"])).text
        assert "230 messages are tried again." in shown
        assert "Try again all messages with sender" not in shown
    assert await states(api, [ids[0], ids[229], ids[230]]) == ["queued", "queued", "dead"]
