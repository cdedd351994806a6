"""Signing in: links that work once, passwords, one-time codes, sessions that end, and what an attacker tries."""

import asyncio
import html
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pyotp
import pytest
import segno
from sqlalchemy import event

from app.domain.person import Role
from app.domain.session import FRESH, IDLE
from tests.support.api import Api, serving
from tests.support.browser import Browser, browsing, link_for, person, token_in
from tests.support.movable_clock import MovableClock

PASSWORD = "correct horse battery"


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def api(database_url: str, tmp_path: Path, clock: MovableClock) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, clock=clock) as api:
        yield api


async def signed_in(api: Api, browser: Browser, email: str = "robin@example.org", role: Role = Role.OWNER) -> None:
    """Sign somebody new in by a link, and choose a password."""
    path = await link_for(api, await person(api, email, role))
    assert (await browser.send(path, path)).headers["location"] == "/account?done=link"
    chosen = await browser.send("/account", "/account/password", password=PASSWORD)
    assert chosen.headers["location"] == "/account?done=password"


async def test_a_link_signs_in_once_and_nothing_happens_when_it_is_opened(api: Api):
    path = await link_for(api, await person(api, "kim@example.org"))
    async with browsing(api) as scanner, browsing(api) as browser, browsing(api) as thief:
        for _ in range(3):
            assert (await scanner.get(path)).status_code == 200
        token = token_in(await thief.get(path))
        answer = await browser.send(path, path)
        assert answer.status_code == 303
        assert (await browser.get("/account")).status_code == 200
        second = await thief.client.post(path, data={"csrf": token})
        assert second.status_code == 404
        assert "This link no longer works" in second.text
        assert (await thief.get("/account")).headers["location"] == "/sign-in?next=/account"


async def test_a_link_ends_with_time_and_with_a_newer_one(api: Api, clock: MovableClock):
    kim = await person(api, "kim@example.org")
    older, newer = await link_for(api, kim), await link_for(api, kim)
    async with browsing(api) as browser:
        assert (await browser.get(older)).status_code == 404
        assert (await browser.get(newer)).status_code == 200
        clock.ahead = timedelta(days=7, seconds=1)
        assert (await browser.get(newer)).status_code == 404


async def test_no_unused_link_of_a_person_outlives_another_one_or_a_new_password(api: Api):
    async with browsing(api) as owner, browsing(api) as thief:
        await signed_in(api, owner)
        kim = await person(api, "kim@example.org", Role.READER)
        reset = await owner.send("/people", f"/people/{kim.id}/link")
        found = re.search(r"http://tocsin\.test(/link/[\w-]+)", reset.text)
        assert found is not None
        invited = await link_for(api, kim)
        async with browsing(api) as browser:
            assert (await browser.send(found[1], found[1])).status_code == 303
            assert (await thief.get(invited)).status_code == 404
            invited = await link_for(api, kim)
            await browser.send("/account", "/account/password", password=PASSWORD)
            assert (await thief.get(invited)).status_code == 404
        invited = await link_for(api, kim)
        await owner.send("/people", f"/people/{kim.id}/end", what="sessions")
        assert (await thief.get(invited)).status_code == 404


async def test_a_page_asks_to_sign_in_and_then_goes_on_to_itself(api: Api):
    async with browsing(api) as browser:
        await signed_in(api, browser)
        await browser.send("/account", "/sign-out/now")
        where = (await browser.get("/account?done=looks")).headers["location"]
        assert where == "/sign-in?next=/account%3Fdone%3Dlooks"
        action = where.replace("/sign-in", "/sign-in/password")
        answer = await browser.send(where, action, email="Robin@Example.org ", password=PASSWORD)
        assert answer.headers["location"] == "/account?done=looks"


@pytest.mark.parametrize(
    "goes_on",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/%09/evil.example",
        "\\\\evil",
        "javascript:1",
        "/a b",
    ],
)
async def test_nobody_is_sent_to_another_site(api: Api, goes_on: str):
    async with browsing(api) as browser:
        await signed_in(api, browser)
        answer = await browser.client.get("/sign-in", params={"next": goes_on})
        assert answer.headers["location"] in ("/", goes_on if goes_on.startswith("/%") else "/")
        assert not answer.headers["location"].startswith(("//", "/\\"))


async def test_a_wrong_name_password_and_code_have_the_same_answer(api: Api):
    async with browsing(api) as browser:
        await signed_in(api, browser)
    async with browsing(api) as stranger:
        known = await stranger.sign_in("robin@example.org", "wrong password here")
        unknown = await stranger.sign_in("nobody@example.org", "wrong password here")
    assert known.status_code == unknown.status_code == 401
    assert known.text.replace("robin", "nobody") == unknown.text


async def test_who_guesses_waits_and_locks_nobody_else_out(api: Api):
    async with browsing(api, address="192.0.2.1") as owner:
        await signed_in(api, owner)
        await owner.send("/account", "/sign-out/now")
        async with browsing(api, address="192.0.2.9") as guesser:
            codes = [(await guesser.sign_in("robin@example.org", f"guess {n}")).status_code for n in range(7)]
            assert codes == [401] * 5 + [429] * 2
            refused = await guesser.sign_in("robin@example.org", PASSWORD)
            assert (refused.status_code, refused.headers["retry-after"]) in [(429, "1"), (429, "2")]
        async with browsing(api, address="192.0.2.5") as elsewhere:
            assert (await elsewhere.sign_in("robin@example.org", PASSWORD)).status_code == 303
        # From the address of the one who guesses, as behind one proxy: this browser has signed in before.
        async with browsing(api, address="192.0.2.9") as here:
            here.client.cookies = owner.client.cookies
            assert (await here.sign_in("robin@example.org", PASSWORD)).status_code == 303


async def test_a_character_that_cannot_be_stored_is_refused(api: Api):
    async with browsing(api) as browser:
        assert (await browser.sign_in("robin\x00@example.org", PASSWORD)).status_code == 400


async def test_who_is_refused_keeps_nobody_waiting_who_writes(api: Api):
    async with browsing(api) as guesser:
        codes = [(await guesser.sign_in("robin@example.org", f"guess {n}")).status_code for n in range(6)]
        assert codes[-1] == 429
        async with api.context.database.write(), asyncio.timeout(2):  # the embedded database has one writer
            assert (await guesser.sign_in("robin@example.org", "guess 7")).status_code == 429
            assert (await guesser.send("/sign-in", "/link/unknown")).status_code == 404


async def test_a_session_is_a_new_one_at_each_sign_in(api: Api):
    async with browsing(api) as browser:
        browser.client.cookies.set("tocsin", "chosen-by-an-attacker", domain="tocsin.test")
        await signed_in(api, browser)
        first = browser.client.cookies["tocsin"]
        assert first != "chosen-by-an-attacker"
        await browser.send("/account", "/sign-out/now")
        await browser.sign_in("robin@example.org", PASSWORD)
        assert browser.client.cookies["tocsin"] != first
        browser.client.cookies.set("tocsin", first, domain="tocsin.test")
        assert (await browser.get("/account")).status_code == 303, "the old one ended when the person signed out"


async def test_a_session_ends_without_use_and_by_revoking(api: Api, clock: MovableClock):
    async with browsing(api) as here, browsing(api) as there:
        await signed_in(api, here)
        await there.sign_in("robin@example.org", PASSWORD)
        assert (await there.get("/account")).status_code == 200
        await here.send("/account", "/account/sessions/end")
        assert (await there.get("/account")).status_code == 303
        assert (await here.get("/account")).status_code == 200
        clock.ahead = IDLE + timedelta(minutes=1)
        assert (await here.get("/account")).status_code == 303


async def test_a_form_without_our_token_changes_nothing(api: Api):
    async with browsing(api) as browser, browsing(api) as other:
        await signed_in(api, browser)
        await signed_in(api, other, "kim@example.org")
        foreign = token_in(await other.get("/account"))
        own = token_in(await browser.get("/account"))
        for fields in ({}, {"csrf": foreign}, {"csrf": own[:-1]}):
            assert (await browser.client.post("/sign-out/now", data=fields)).status_code == 403
        from_elsewhere = await browser.client.post(
            "/sign-out/now", data={"csrf": own}, headers={"Sec-Fetch-Site": "cross-site"}
        )
        assert from_elsewhere.status_code == 403
        huge = await browser.client.post("/sign-out/now", data={"csrf": own, "x": "y" * 300_000})
        assert huge.status_code == 413
        assert (await browser.get("/account")).status_code == 200


async def test_pages_cannot_be_framed_and_cookies_are_kept_from_scripts(database_url: str, tmp_path: Path):
    async with (
        serving(database_url, tmp_path, base_url="https://tocsin.test") as api,
        browsing(api, "https://tocsin.test") as browser,
    ):
        path = await link_for(api, await person(api, "kim@example.org"))
        answer = await browser.send(path, path)
        [cookie] = [one for one in answer.headers.get_list("set-cookie") if one.startswith("__Host-tocsin=")]
        assert {part.strip().lower() for part in cookie.split(";")[1:]} >= {
            "secure",
            "httponly",
            "samesite=lax",
            "path=/",
        }
        for shown in ("/account", "/people", "/sign-in"):
            headers = (await browser.get(shown)).headers
            assert headers["x-frame-options"] == "DENY"
            assert "no-store" in headers["cache-control"]


async def test_one_time_codes_are_asked_for_and_none_works_twice(api: Api, clock: MovableClock):
    async with browsing(api) as browser:
        await signed_in(api, browser)
        await browser.send("/account", "/account/codes")
        page = (await browser.get("/account")).text
        found = re.search(r"<code>([A-Z2-7]{32})</code>", page)
        assert found is not None
        totp = pyotp.TOTP(found[1])
        [drawn] = re.findall(r'<div class="qr" role="img" aria-label="[^"]+">(<svg.*?</svg>)</div>', page)
        uri = totp.provisioning_uri(name="robin@example.org", issuer_name="Tocsin")
        assert html.escape(uri) in page
        assert dark_modules(drawn) == modules(segno.make_qr(uri, error="m"))
        assert "style" not in drawn, "the policy of the page refuses it"
        wrong = await browser.send("/account", "/account/codes/confirm", code="000000")
        assert wrong.status_code == 422
        first = totp.at(clock())
        shown = await browser.send("/account", "/account/codes/confirm", code=first)
        recovery = re.findall(r"<code>([a-z2-7]{5}-[a-z2-7]{5})</code>", shown.text)
        assert len(set(recovery)) == 10
        assert found[1] not in (await browser.get("/account")).text
        again = await browser.send("/account", "/account/codes/confirm", code=totp.at(clock() + timedelta(seconds=30)))
        assert again.status_code == 422, "recovery codes are not replaced by a form that is sent twice"
        await browser.send("/account", "/sign-out/now")
        assert (await browser.sign_in("robin@example.org", PASSWORD, first)).status_code == 401
        clock.ahead = timedelta(minutes=1)
        code = totp.at(clock())
        assert (await browser.sign_in("robin@example.org", PASSWORD)).status_code == 401
        assert (await browser.sign_in("robin@example.org", PASSWORD, code)).status_code == 303
        await browser.send("/account", "/sign-out/now")
        assert (await browser.sign_in("robin@example.org", PASSWORD, code)).status_code == 401
        assert (await browser.sign_in("robin@example.org", PASSWORD, recovery[0])).status_code == 303
        await browser.send("/account", "/sign-out/now")
        assert (await browser.sign_in("robin@example.org", PASSWORD, recovery[0])).status_code == 401


def dark_modules(svg: str) -> set[tuple[int, int]]:
    """Return the dark modules (row, column) of a QR code that is drawn as horizontal lines."""
    [path] = re.findall(r'<path stroke="#000" d="([^"]+)"', svg)
    found, row, column = set(), 0, 0
    for command, numbers in re.findall(r"([Mmh])([^Mmh]+)", path):
        values = [int(float(one) // 1) for one in re.findall(r"-?[\d.]+", numbers)]
        match command:
            case "M":
                column, row = values
            case "m":
                column, row = column + values[0], row + values[1]
            case _:
                found |= {(row, column + step) for step in range(values[0])}
                column += values[0]
    return found


def modules(code: segno.QRCode) -> set[tuple[int, int]]:
    """Return the dark modules of a code with its margin of four."""
    return {(y + 4, x + 4) for y, line in enumerate(code.matrix) for x, is_dark in enumerate(line) if is_dark}


async def test_people_are_changed_only_after_showing_who_one_is(api: Api, clock: MovableClock):
    async with browsing(api) as owner, browsing(api) as kim:
        await signed_in(api, owner)
        await signed_in(api, kim, "kim@example.org", Role.READER)
        [of_kim] = re.findall(r"/people\?person=(per_\w+)\">kim", (await owner.get("/people")).text)
        clock.ahead = FRESH + timedelta(seconds=1)
        asked = await owner.send("/people", f"/people/{of_kim}", role="operator", sees="all")
        assert asked.headers["location"] == f"/prove?next=/people%3Fperson%3D{of_kim}"
        before = owner.client.cookies["tocsin"]
        shown = await owner.send(asked.headers["location"], asked.headers["location"], password=PASSWORD)
        assert shown.headers["location"] == f"/people?person={of_kim}"
        assert owner.client.cookies["tocsin"] != before
        unsaid = await owner.send("/people", f"/people/{of_kim}", role="operator")
        assert unsaid.status_code == 422, "everything is seen only by whom a form says so of"
        saved = await owner.send("/people", f"/people/{of_kim}", role="operator", sees="all", disabled="1")
        assert saved.status_code == 303
        assert (await kim.get("/account")).status_code == 303, "who may not sign in any more is out at once"


async def test_people_are_of_owners_only_and_the_last_owner_stays(api: Api):
    async with browsing(api) as owner, browsing(api) as other:
        await signed_in(api, owner)
        for role in (Role.READER, Role.OPERATOR, Role.ADMINISTRATOR):
            await signed_in(api, other, f"{role}@example.org", role)
            missing = await other.get("/people")
            assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
        [own] = re.findall(r"/people\?person=(per_\w+)\">robin", (await owner.get("/people")).text)
        refused = await owner.send("/people", f"/people/{own}", role="reader", sees="all")
        assert refused.status_code == 409
        entries = await api.items("/v1/audit", noun="person")
        assert {"create", "make link", "sign in", "change password"} <= {entry["action"] for entry in entries}


async def test_the_first_link_makes_an_owner_on_this_host_only(database_url: str, tmp_path: Path):
    async with serving(database_url, tmp_path) as api:
        path = await link_for(api, None)
        async with browsing(api, address="192.0.2.9") as elsewhere, browsing(api) as here:
            assert (await elsewhere.get(path)).status_code == 404
            assert (await here.get(path, **{"X-Forwarded-For": "127.0.0.1"})).status_code == 404
            made = await here.send(path, path, name="Robin", email="robin@example.org")
            assert made.headers["location"] == "/account?done=link"
            assert (await here.get("/people")).status_code == 200
            assert (await here.get(path)).status_code == 404


async def test_the_audit_log_tells_two_people_of_one_name_apart(api: Api):
    async with browsing(api) as browser:
        await signed_in(api, browser, "kim@one.example")
        await browser.send("/people", "/people/new", name="Ann", email="ann@example.org", role="reader", sees="all")
        await person(api, "kim@two.example")
        await browser.send("/people", "/people/new", name="Bob", email="bob@example.org", role="reader", sees="all")
    entries = (await api.tell("GET", "/v1/audit", params={"noun": "person", "action": "create"}))["items"]
    first = next(one for one in entries if (one["change"] or {}).get("email") == "ann@example.org")
    second = next(one for one in entries if (one["change"] or {}).get("email") == "bob@example.org")
    assert (first["who"], second["who"]) == ("kim", "kim <kim@one.example>")
    assert first["who_id"] == second["who_id"] is not None
    mine = (await api.tell("GET", "/v1/audit", params={"who_id": first["who_id"]}))["items"]
    assert {"sign in", "create"} <= {one["action"] for one in mine}


async def test_a_failed_sign_in_does_the_same_work_for_a_known_and_an_unknown_address(api: Api):
    """A stranger must not learn from the time of an answer which addresses exist."""
    async with browsing(api) as browser:
        await signed_in(api, browser)
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement.split(maxsplit=1)[0])

    engines = [
        engine.sync_engine for engine in {api.context.database.engines.reader, api.context.database.engines.writer}
    ]
    async with browsing(api) as stranger:
        work = []
        for email in ("robin@example.org", "nobody@example.org"):
            await stranger.sign_in("warm@example.org", "wrong password here")
            for engine in engines:
                event.listen(engine, "before_cursor_execute", note)
            seen.clear()
            await stranger.sign_in(email, "wrong password here")
            work.append(list(seen))
            for engine in engines:
                event.remove(engine, "before_cursor_execute", note)
    assert work[0] == work[1]
    assert len(work[0]) > 3


async def test_a_sign_in_ends_the_earlier_session_of_the_browser(api: Api):
    async with browsing(api) as browser, browsing(api) as other:
        await signed_in(api, browser)
        planted = browser.client.cookies["tocsin"]
        path = await link_for(api, await person(api, "kim@example.org"))
        assert (await browser.send(path, path)).status_code == 303
        assert browser.client.cookies["tocsin"] != planted
        other.client.cookies.set("tocsin", planted, domain="tocsin.test")
        assert (await other.get("/account")).status_code == 303


@pytest.mark.parametrize("by", ["link", "password"])
async def test_no_cookie_from_before_a_sign_in_is_of_any_use_after_it(api: Api, by: str):
    """Session fixation: an attacker who planted a cookie, made up or of a session of their own, is not signed in as who comes next."""
    async with browsing(api) as robin, browsing(api) as mallory, browsing(api) as browser, browsing(api) as attacker:
        await signed_in(api, robin)
        await signed_in(api, mallory, "mallory@example.org", Role.READER)
        kim = await person(api, "kim@example.org", Role.READER)
        for planted in ("chosen-by-an-attacker", mallory.client.cookies["tocsin"]):
            browser.client.cookies.set("tocsin", planted, domain="tocsin.test", path="/")
            form_token = token_in(await browser.get("/sign-in" if planted.startswith("chosen") else "/account"))
            if by == "link":
                path = await link_for(api, kim)
                assert (await browser.send(path, path)).status_code == 303
                name = "kim@example.org"
            else:
                async with browsing(api) as fresh:  # the page of the sign-in is not shown to who is signed in
                    form = token_in(await fresh.get("/sign-in"))
                    cookies = {one.name: one.value for one in fresh.client.cookies.jar}
                for own, value in cookies.items():
                    browser.client.cookies.set(own, value or "", domain="tocsin.test", path="/")
                sent = {"csrf": form, "email": "robin@example.org", "password": PASSWORD, "code": ""}
                assert (await browser.client.post("/sign-in/password", data=sent)).status_code == 303
                name = "robin@example.org"
            tokens = [one.value for one in browser.client.cookies.jar if one.name == "tocsin"]
            assert len(tokens) == 1
            assert tokens[0] != planted
            assert name in (await browser.get("/account")).text
            attacker.client.cookies.clear()
            attacker.client.cookies.set("tocsin", planted, domain="tocsin.test", path="/")
            assert (await attacker.get("/account")).headers["location"] == "/sign-in?next=/account"
            old = await browser.client.post("/account/looks", data={"csrf": form_token, "language": "de"})
            assert old.status_code == 403, "a token for forms from before the sign-in"
            await browser.send("/account", "/sign-out/now")
            browser.client.cookies.clear()
