"""A form that needs a new sign-in comes back filled in after it, without secrets, and only to the session that sent it."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
from sqlalchemy import update

from app.domain.person import Role
from app.store.tables_managed import sessions
from tests.support.api import Api, serving
from tests.support.browser import Browser, browsing, link_for, person


@pytest.fixture
async def api(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(sqlite_database_url, tmp_path) as api:
        yield api


async def _sign_in_again(api: Api, browser: Browser, where: str) -> httpx.Response:
    """Let the session be proven now, and go on to the page that was asked for."""
    assert where.startswith("/prove?next=/")
    async with api.context.database.write() as tx:
        await tx.connection.execute(update(sessions).values(proved_at=api.context.clock()))
    return await browser.get(unquote(where.partition("next=")[2]))


async def _leave_open(api: Api) -> None:
    async with api.context.database.write() as tx:
        await tx.connection.execute(update(sessions).values(proved_at=api.context.clock() - timedelta(hours=1)))


@pytest.mark.parametrize(
    ("page", "action", "fields", "shown"),
    [
        (
            "/people",
            "/people/new",
            {"name": "Kim Ö <b>", "email": "kim@example.org", "role": "operator", "sees": "all"},
            ['value="Kim Ö &lt;b&gt;"', 'value="kim@example.org"', '<option value="operator" selected>'],
        ),
        (
            "/service/links",
            "/service/links",
            {"name": "hall", "kind": "badge", "sees": "all", "lasts": "30", "shows": "names"},
            ['value="hall"', '<option value="badge" selected>', 'value="all" checked', '<option value="30" selected>'],
        ),
        (
            "/service/keys",
            "/service/keys",
            {"kind": "access", "name": "night", "role": "operator", "sees": "all", "lasts": "30"},
            ['value="night"', '<option value="operator" selected>', '<option value="30" selected>'],
        ),
        ("/relays", "/relays/new", {"name": "win-mail02"}, ['value="win-mail02"']),
        (
            "/connect",
            "/connect/new",
            {"tool": "restic", "name": "db Ä", "host": "db Ä", "job": "nightly"},
            ['value="restic" checked', 'value="db Ä"', 'value="nightly"'],
        ),
    ],
)
async def test_a_form_is_filled_in_again_after_its_person_signed_in_again(
    api: Api, page: str, action: str, fields: dict[str, str], shown: list[str]
) -> None:
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "ada@example.org", Role.OWNER))
        await browser.send(path, path)
        await _leave_open(api)
        answer = await browser.send(page, action, **fields)
        assert answer.status_code == 303
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert fields["name"] not in answer.headers["location"]
        again = await _sign_in_again(api, browser, answer.headers["location"])
        assert "The form is filled in as you sent it." in again.text
        assert [one for one in shown if one not in again.text] == []
        once_more = await browser.get(page)
        assert "The form is filled in" not in once_more.text, "it is filled in once"


async def test_what_a_person_may_do_is_filled_in_again_and_not_yet_changed(api: Api) -> None:
    kim = await person(api, "kim@example.org", Role.READER)
    [customer] = await api.items("/v1/customers")
    sent = {"role": "operator", "sees": "chosen", "customer": customer["id"], "disabled": "1"}
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "ada@example.org", Role.OWNER))
        await browser.send(path, path)
        await _leave_open(api)
        page = f"/people?person={kim.id}"
        answer = await browser.send(page, f"/people/{kim.id}", **sent)
        again = await _sign_in_again(api, browser, answer.headers["location"])
        assert "The form is filled in as you sent it." in again.text
        for shown in (
            '<option value="operator" selected>',
            'name="sees" value="chosen" checked',
            f'<option value="{customer["id"]}" selected>',
            'name="disabled" value="1" checked',
        ):
            assert shown in again.text
        unchanged = (await browser.get(page)).text
        assert '<option value="reader" selected>' in unchanged
        assert 'name="disabled" value="1" checked' not in unchanged


async def test_a_kept_form_has_no_secret_is_bounded_and_is_of_one_session_and_page(api: Api) -> None:
    async with browsing(api) as browser, browsing(api) as other:
        ada = await person(api, "ada@example.org", Role.OWNER)
        for one in (browser, other):
            path = await link_for(api, ada)
            await one.send(path, path)
        await _leave_open(api)
        answer = await browser.send("/account", "/account/password", password="correct horse battery")
        assert answer.status_code == 303
        assert "set-cookie" not in answer.headers
        answer = await browser.send("/people", "/people/new", name="x" * 5000, email="kim@example.org")
        assert "set-cookie" not in answer.headers, "a browser would refuse so large a cookie"

        answer = await browser.send("/people", "/people/new", name="Kim", email="kim@example.org", password="geheim")
        kept = browser.client.cookies["tocsin-kept"]
        assert b"geheim" not in base64.urlsafe_b64decode(kept.partition(".")[0])
        async with api.context.database.write() as tx:
            await tx.connection.execute(update(sessions).values(proved_at=api.context.clock()))
        for one, page, value in [
            (other, "/people", kept),
            (browser, "/relays", kept),
            (browser, "/people", "x" + kept),
            (browser, "/people", "."),
            (browser, "/people", "é.x"),
        ]:
            seen = await one.client.get(page, headers={"cookie": _cookies(one, value)})
            assert seen.status_code == 200, value
            assert "kim@example.org" not in seen.text, value
        assert "kim@example.org" in (await browser.get("/people")).text


def _cookies(browser: Browser, kept: str) -> bytes:
    own = "; ".join(f"{one.name}={one.value}" for one in browser.client.cookies.jar if one.name != "tocsin-kept")
    return f"{own}; tocsin-kept={kept}".encode()
