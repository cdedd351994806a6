"""The page Routing: forms that show what they would do, store the same as the API, and lose nobody's edit."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.decide import tick as decide
from app.domain.person import Role
from tests.support.api import Api, serving
from tests.support.browser import Browser, browsing, link_for, person, token_in

_MARKUP = '"><script>alert(1)</script>'
_KINDS = ("routes", "rules", "recipients", "silences", "summaries")
_API = {"summaries": "summary-schedules"}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        for number, job in enumerate(("shares", "homes", "nightly")):
            await api.report({"key": f"{number}", "agent": "files01", "job": job, "outcome": "failure"})
        while await decide.tick(api.context):
            pass
        yield api


async def _sign_in(api: Api, browser: Browser, role: Role = Role.ADMINISTRATOR, *, of_one: bool = False) -> None:
    [customer] = await api.items("/v1/customers")
    someone = await person(api, f"{role}@example.org", role, (customer["id"],) if of_one else None)
    path = await link_for(api, someone)
    await browser.send(path, path)


def _fields(page: httpx.Response) -> list[tuple[str, str]]:
    """Return what the form of a page would send: fields that have a value, boxes that are checked."""
    form = page.text.partition('" class="stack">')[2].partition("</form>")[0]
    found: list[tuple[str, str]] = []
    for tag in re.findall(r"<input [^>]*>", form):
        name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and value and ('type="checkbox"' not in tag or " checked" in tag):
            found.append((name[1], value[1]))
    for name, body in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', form):
        chosen = re.search(r'<option(?: value="([^"]*)")? selected>([^<]*)', body)
        first = re.search(r'<option(?: value="([^"]*)")?>?([^<]*)', body)
        one = chosen or first
        assert one is not None
        found.append((name, one[1] if one[1] is not None else one[2]))
    return found


async def _post(browser: Browser, path: str, fields: list[tuple[str, str]]) -> httpx.Response:
    data: dict[str, list[str]] = {}
    for name, value in fields:
        data.setdefault(name, []).append(value)
    return await browser.client.post(path, data=data)


async def test_a_route_shows_what_it_would_do_before_it_is_stored(api: Api) -> None:
    [recipient, *_] = await api.items("/v1/recipients")
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        csrf = token_in(await browser.get("/routing/routes/new"))
        fields = [
            ("csrf", csrf),
            ("name", "nights"),
            ("position", "0"),
            ("enabled", "1"),
            ("recipient", recipient["id"]),
        ]
        fields += [("m_field", "job"), ("m_test", "like"), ("m_value", "s*"), ("group_interval_s", "5")]
        before = await api.items("/v1/routes")
        shown = await _post(browser, "/routing/routes", [*fields, ("step", "check")])
        assert "1 job matches." in shown.text
        assert "1 alert of the last 30 days would have gone here." in shown.text
        assert "Not saved yet" in shown.text
        assert await api.items("/v1/routes") == before
        saved = await _post(browser, "/routing/routes", [*fields, ("step", "save")])
        assert saved.status_code == 303, saved.text
        assert "Saved." in (await browser.get(saved.headers["location"])).text
    stored = next(one for one in await api.items("/v1/routes") if one["name"] == "nights")
    assert stored["matchers"] == [{"field": "job", "test": "like", "value": "s*"}]
    assert (stored["position"], stored["group_interval_s"], stored["repeat_every_s"]) == (0, 300, None)
    [entry, *_] = [one for one in await api.items("/v1/audit") if one["noun"] == "route"]
    assert entry["who"] == "administrator"


@pytest.mark.parametrize("kind", ["routes", "rules", "recipients", "summaries"])
async def test_a_form_that_is_sent_as_it_is_changes_nothing(api: Api, kind: str) -> None:
    path = f"/v1/{_API.get(kind, kind)}"
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        for before in await api.items(path):
            page = await browser.get(f"/routing/{kind}/{before['id']}")
            answer = await _post(browser, f"/routing/{kind}/{before['id']}", [*_fields(page), ("step", "save")])
            assert answer.status_code == 303, answer.text[:3000]
            assert before in await api.items(path)


async def test_an_edit_of_somebody_else_in_between_is_not_lost(api: Api) -> None:
    [route, *_] = await api.items("/v1/routes")
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        fields = _fields(await browser.get(f"/routing/routes/{route['id']}"))
        await api.tell("PATCH", f"/v1/routes/{route['id']}", json={"name": "theirs"})
        renamed = [(name, "mine" if name == "name" else value) for name, value in fields]
        answer = await _post(browser, f"/routing/routes/{route['id']}", [*renamed, ("step", "save")])
        assert answer.status_code == 412
        assert "somebody else changed it" in answer.text
        assert 'value="mine"' in answer.text, "what was entered stays in the form"
        gone = await _post(browser, f"/routing/routes/{route['id']}", [*fields, ("step", "delete-now")])
        assert gone.status_code == 412
    assert (await api.tell("GET", f"/v1/routes/{route['id']}"))["name"] == "theirs"


async def test_what_cannot_be_stored_is_shown_with_its_field_and_in_german(api: Api) -> None:
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        browser.client.headers["accept-language"] = "de"
        csrf = token_in(await browser.get("/routing/rules/new"))
        fields = [("csrf", csrf), ("name", ""), ("kind", "failed"), ("after_in_row", "many"), ("step", "save")]
        answer = await _post(browser, "/routing/rules", fields)
        assert answer.status_code == 422
        assert "Name fehlt oder ist zu kurz" in answer.text
        assert "Wie viele in Folge einen Alarm auslösen kann nicht gelesen werden" in answer.text


async def test_rules_are_put_in_another_order(api: Api) -> None:
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        first, second, *_ = await _order(browser, "rules")
        rule = await api.tell("GET", f"/v1/rules/{second}")
        await browser.send(
            "/routing?tab=rules", f"/routing/rules/{second}/move", direction="up", version=str(rule["version"])
        )
        assert (await _order(browser, "rules"))[:2] == [second, first]


async def test_a_silence_is_made_and_ended(api: Api) -> None:
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        csrf = token_in(await browser.get("/routing/silences/new"))
        fields = [("csrf", csrf), ("comment", "works" + _MARKUP), ("ends_at", "2099-01-01T08:00")]
        fields += [("m_field", "agent"), ("m_test", "is"), ("m_value", "files01")]
        far = await _post(browser, "/routing/silences", [*fields, ("step", "save")])
        assert "a silence lasts one year at most" in far.text
        ends_at = f"{api.context.clock().replace(microsecond=0).isoformat()[:10]}T23:59"
        fields[2] = ("ends_at", ends_at)
        shown = await _post(browser, "/routing/silences", [*fields, ("step", "check")])
        assert "3 open alerts are held back." in shown.text
        assert "<script>alert" not in shown.text
        saved = await _post(browser, "/routing/silences", [*fields, ("step", "save")])
        assert saved.status_code == 303, saved.text
        [silence] = await api.items("/v1/silences")
        listed = await browser.get("/routing?tab=silences")
        assert "<script>alert" not in listed.text
        path = f"/routing/silences/{silence['id']}"
        ended = await browser.send(path, path, step="delete-now", version=str(silence["version"]))
        assert ended.status_code == 303
        assert await api.items("/v1/silences", state="current") == []


async def test_a_recipient_gets_a_test_message(api: Api) -> None:
    made = {"name": "kim", "transports": [{"transport": "file", "address": "kim@example.org"}]}
    recipient = await api.tell("POST", "/v1/recipients", json=made)
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        page = await browser.send(
            f"/routing/recipients/{recipient['id']}", f"/routing/recipients/{recipient['id']}/test"
        )
    assert "file: kim@example.org" in page.text
    assert " · sent" in page.text


async def test_the_preview_of_a_summary_runs_and_loads_nothing(api: Api) -> None:
    [schedule, *_] = await api.items("/v1/summary-schedules")
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        assert (
            f"/routing/summaries/{schedule['id']}/shown"
            in (await browser.get(f"/routing/summaries/{schedule['id']}")).text
        )
        shown = await browser.get(f"/routing/summaries/{schedule['id']}/shown")
    assert "shares" in shown.text
    assert "sandbox" in shown.headers["content-security-policy"]
    assert "script-src" not in shown.headers["content-security-policy"]


@pytest.mark.parametrize(("role", "of_one"), [(Role.READER, False), (Role.OPERATOR, False), (Role.ADMINISTRATOR, True)])
async def test_it_is_for_administrators_of_every_customer(api: Api, role: Role, *, of_one: bool) -> None:
    [route, *_] = await api.items("/v1/routes")
    async with browsing(api) as browser:
        await _sign_in(api, browser, role, of_one=of_one)
        for kind in _KINDS:
            assert (await browser.get(f"/routing?tab={kind}")).status_code == 404
            assert (await browser.get(f"/routing/{kind}/new")).status_code == 404
            assert (await browser.send("/account", f"/routing/{kind}", step="save", name="x")).status_code == 404
        for action in ("", "/move"):
            path = f"/routing/routes/{route['id']}{action}"
            sent = await browser.send("/account", path, step="delete-now", direction="up", version="1")
            assert sent.status_code == 404
        assert "/routing" not in (await browser.get("/more")).text
    assert await api.tell("GET", f"/v1/routes/{route['id']}") == route


async def _order(browser: Browser, kind: str) -> list[str]:
    page = await browser.get(f"/routing?tab={kind}")
    return re.findall(rf'class="plain" href="/routing/{kind}/([a-z]{{3}}_[0-9a-f]+)"', page.text)


@pytest.mark.parametrize("number", ["inf", "nan", "1e999", "-inf"])
async def test_what_is_no_number_is_refused_by_its_field(api: Api, number: str) -> None:
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        page = await browser.get("/routing/rules/new")
        fields = [(name, value) for name, value in _fields(page) if name != "after_in_row"]
        csrf = [("csrf", token_in(page))] if "csrf" not in dict(fields) else []
        answer = await _post(browser, "/routing/rules", [*fields, *csrf, ("after_in_row", number)])
        assert answer.status_code == 422


async def test_a_route_shows_the_mail_about_its_newest_alert_with_links_that_do_nothing(api: Api) -> None:
    [route, *_] = await api.items("/v1/routes")
    path = f"/routing/routes/{route['id']}"
    async with browsing(api) as browser, browsing(api) as reader:
        await _sign_in(api, browser)
        page = await browser.get(path)
        assert re.search(rf'<iframe [^>]*sandbox[^>]* src="{path}/shown"', page.text)
        assert re.search(r"<p>\[FAILED\] \S+", page.text), "its subject"
        shown = await browser.get(f"{path}/shown")
        assert "nightly" in shown.text
        assert set(re.findall(r"/answer/([\w.~-]+)", shown.text)) == {"hidden"}
        assert "sandbox" in shown.headers["content-security-policy"]
        assert "script-src" not in shown.headers["content-security-policy"]
        await _sign_in(api, reader, Role.READER)
        assert (await reader.get(f"{path}/shown")).status_code == 404
        await api.tell("PATCH", f"/v1/routes/{route['id']}", json={"matchers": [{"field": "job", "value": "nothing"}]})
        page = await browser.get(path)
        assert "An example of its mail" in page.text
        assert "nothing in it is real" in page.text
        shown = await browser.get(f"{path}/shown")
        assert "Example: no space left on device" in shown.text
        assert "Example customer" in shown.text
        assert "nightly" not in shown.text
        assert set(re.findall(r"/answer/([\w.~-]+)", shown.text)) == {"hidden"}


async def test_a_route_behind_one_that_takes_every_alert_is_shown_as_never_used(api: Api) -> None:
    [recipient, *_] = await api.items("/v1/recipients")
    [everything] = await api.items("/v1/routes")
    late = {"name": "nights", "position": everything["position"] + 1, "recipients": [recipient["id"]]}
    await api.tell("POST", "/v1/routes", json=late)
    never = f"Never used: “{everything['name']}” comes first and takes every alert."
    async with browsing(api) as browser:
        await _sign_in(api, browser)
        shown = (await browser.get("/routing")).text
        assert shown.count(never) == 1
        assert shown.index(never) > shown.index("nights")
        await api.tell("PATCH", f"/v1/routes/{everything['id']}", json={"goes_on": True})
        assert never not in (await browser.get("/routing")).text
