"""Sweeps over every route of the pages: markup in what is stored, tokens of forms, frames, and addresses to go back to.

The routes come from the router: a new page is tried here without anybody adding it to a list, or the test says what it lacks.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from app.domain.person import Role
from app.worker import run
from tests.flow.admin.test_retry_of_many import die
from tests.support.api import Api, serving
from tests.support.browser import Browser, browsing, link_for, person, token_in
from tests.support.rights_page import Right, rights

pytestmark = pytest.mark.slow  # a sweep asks some hundred times

MARKUP = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'`{{7*7}}"
_ONE = [{"field": "agent", "test": "like", "value": f"*{MARKUP}"}]
# What a stranger's browser may send without a token of ours, and what stands for the token.
WITHOUT_TOKEN = {
    "/answer/{token}": "the signed link",
    "/unsubscribe/{token}": "the signed link",
    "/link/{token}": "a token of its own: nobody is signed in",
    "/sign-in/password": "a token of its own: nobody is signed in",
    "/reading/choice": "it changes only colours and language of this browser",
}
ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\r\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "https://evil.example/",
    "https:evil.example",
    "javascript:alert(1)",
    "/%2f%2fevil.example",
    "%2f%2fevil.example",
    "/%5cevil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/@evil.example",
    "@evil.example",
    ".evil.example",
    "/\u2028/evil.example",
    "/\uff0fevil.example",
    "//evil.example:80@tocsin.test/",
]


class _Elements(HTMLParser):
    """What a browser would make of a page: the elements that our templates never have."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a picture, a script or style in the page itself, and an attribute that is a script or a style."""
        names = [name for name, _ in attrs]
        is_inline = tag == "style" or (tag == "script" and not (dict(attrs).get("src") or "").startswith("/assets/"))
        if (
            is_inline
            or tag in ("img", "object", "embed", "svg")
            or any(one == "style" or one[:2] == "on" for one in names)
        ):
            self.found.append(self.get_starttag_text() or tag)
        self.found += [
            f"{name}={value}" for name, value in attrs if (value or "").strip().casefold().startswith("javascript:")
        ]


def elements_not_ours(page: str) -> list[str]:
    """Return the elements of a page that no template of ours has."""
    parser = _Elements()
    parser.feed(page)
    return parser.found


@pytest.fixture
async def api(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(sqlite_database_url, tmp_path, work=run) as api:
        yield api


def pages(*methods: str) -> list[Right]:
    """Return the routes of pages that somebody who is signed in opens, without that of the stream, which never ends."""
    return [
        one
        for one in rights()
        if one.is_page and one.method in methods and one.role is not None and one.path != "/live"
    ]


def leads_to(answer_url: str, location: str) -> str:
    """Return the host to which a browser goes: it drops tabs and line breaks, and reads a backslash as a slash."""
    read = re.sub(r"[\t\r\n]", "", location).strip().replace("\\", "/")
    return urlsplit(urljoin(answer_url, read)).netloc


async def _signed_in(api: Api, browser: Browser, name: str = "Robin") -> None:
    path = await link_for(api, await person(api, f"{name.casefold()}@example.org", Role.OWNER))
    await browser.send(path, path)


async def _fleet(api: Api) -> dict[str, list[str]]:
    """Store markup wherever somebody can write, and return the values of the parameters of addresses."""
    names = dict.fromkeys(("message", "log"), MARKUP)
    event = {
        "key": MARKUP,
        "agent": MARKUP,
        "job": MARKUP,
        "run": MARKUP,
        **names,
        "metrics": {MARKUP[:40]: 4.0, "duration_s": 3},
    }
    event |= {
        "labels": {MARKUP[:40]: MARKUP, "tool": MARKUP},
        "extra": {MARKUP: {MARKUP: [MARKUP]}},
        "outcome": "failure",
    }
    unclear = event | {"key": f"2{MARKUP}", "run": "2", "job": f"2{MARKUP}", "outcome": "unclear"}
    await api.report(event, unclear)
    [customer, *_] = await api.items("/v1/customers")
    await api.tell("PATCH", f"/v1/customers/{customer['id']}", json={"name": MARKUP})
    async with asyncio.timeout(60):
        while len(await api.items("/v1/messages")) < 1 or len(await api.items("/v1/alerts")) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    recipient = await api.tell(
        "POST",
        "/v1/recipients",
        json={"name": MARKUP, "transports": [{"transport": "file", "address": "a@example.org"}]},
    )
    route = await api.tell(
        "POST",
        "/v1/routes",
        json={"name": MARKUP, "position": 1, "matchers": _ONE, "recipients": [recipient["id"]], "goes_on": True},
    )
    off = {"name": f"off {MARKUP}", "position": 2, "matchers": _ONE, "enabled": False, "recipients": [recipient["id"]]}
    other = {"name": f"other {MARKUP}", "position": 0, "recipients": [recipient["id"]]}
    other |= {"matchers": [{"field": "job", "test": "is", "value": f"not {MARKUP}"}], "goes_on": True}
    for one in (off, other):
        await api.tell("POST", "/v1/routes", json=one)
    rule = await api.tell("POST", "/v1/rules", json={"name": MARKUP, "kind": "failed", "matchers": _ONE})
    ends_at = (api.context.clock() + timedelta(days=1)).isoformat()
    quiet = {
        "matchers": [{"field": "job", "test": "is", "value": f"not {MARKUP}"}],
        "comment": MARKUP,
        "ends_at": ends_at,
    }
    silence = await api.tell("POST", "/v1/silences", json=quiet)
    summary = await api.tell(
        "POST", "/v1/summary-schedules", json={"name": MARKUP, "recipients": [recipient["id"]], "matchers": _ONE}
    )
    key = await api.tell("POST", "/v1/keys", json={"kind": "admin", "name": MARKUP})
    await api.tell("POST", "/v1/relays", json={"name": MARKUP})
    await api.tell("POST", "/v1/share-links", json={"kind": "wall", "name": MARKUP, "customer_ids": None})
    [wanted, *_] = [one for one in await api.items("/v1/alerts") if one["kind"] == "failed"]
    await api.tell("POST", f"/v1/alerts/{wanted['id']}:acknowledge", json={"name": MARKUP})
    died = await die(api, MARKUP)
    [agent, *_] = await api.items("/v1/agents")
    await api.tell("POST", "/v1/connect", json={"tool": "curl", "agent_id": agent["id"], "job": MARKUP})
    alerts, messages = await api.items("/v1/alerts"), await api.items("/v1/messages")
    things = [
        *alerts,
        *messages,
        *await api.items("/v1/notices"),
        *await api.items("/v1/events"),
        *await api.items("/v1/runs"),
    ]
    assert agent["name"] == MARKUP, "the name of the agent is the markup"
    assert key["name"] == MARKUP
    return {
        "{event_id}": [alerts[0]["event_id"]],
        "{job_id}": [one["id"] for one in await api.items("/v1/jobs")],
        "{key_id}": [one["id"] for one in await api.items("/v1/keys") if one["kind"] == "agent"],
        "{message_id}": [one["id"] for one in messages if one["id"] not in died],
        "{proof_id}": [one["id"] for one in things],
        "/routing/routes/{row_id}": [route["id"]],
        "/routing/summaries/{row_id}": [summary["id"]],
        "/routing/{kind}/new": [
            f"/routing/{kind}/new" for kind in ("routes", "rules", "recipients", "silences", "summaries")
        ],
        "/routing/{kind}/{row_id}": [
            f"/routing/{kind}/{one['id']}"
            for kind, one in (
                ("routes", route),
                ("rules", rule),
                ("recipients", recipient),
                ("silences", silence),
                ("summaries", summary),
            )
        ],
    }


def addresses(values: dict[str, list[str]]) -> Iterator[str]:
    """Return the address of every page, about what is stored; fails where nothing is known for a parameter."""
    for right in pages("GET"):
        if right.path == "/prove/provider":
            continue
        if right.path in values:
            yield from values[right.path]
            continue
        own = re.sub(r"^(/routing/\w+)/\{row_id\}", lambda found: f"{found[1]}/{values[found[0]][0]}", right.path)
        found = re.search(r"\{\w+\}", own)
        for value in values[found[0]] if found else [""]:
            yield own.replace(found[0], value) if found else own


QUERIES = {
    "/": ["q", "customer", "agent", "label", "tool"],
    "/alerts": ["q", "customer"],
    "/jobs": ["q", "customer", "agent", "label", "tool"],
    "/messages": ["transport", "recipient"],
    "/schedule/explained": ["cron", "zone"],
    "/service/audit": ["who", "action", "noun", "thing"],
    "/service/keys": ["kind"],
    "/people": ["person"],
    "/prove": ["next"],
}


def asked(values: dict[str, list[str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return every page, and every page with markup in what its address asks for."""
    for address in addresses(values):
        yield address, {}
    for tab in ("nobody", "somebody", "silenced", "unclear", "closed"):
        yield "/alerts", {"tab": tab}
    for tab in ("rules", "recipients", "silences", "summaries"):
        yield "/routing", {"tab": tab}
    for path, names in QUERIES.items():
        for name in names:
            yield path, {name: MARKUP[:40] if name in ("action", "noun", "thing", "recipient") else MARKUP}
    for about in ("admin", MARKUP):
        yield f"/proof/{values['{proof_id}'][0]}", {"about": about}


async def test_no_page_shows_stored_markup_as_markup(api: Api) -> None:
    values = await _fleet(api)
    async with browsing(api) as browser:
        await _signed_in(api, browser)
        job = f"/job/{values['{job_id}'][0]}"
        token = token_in(await browser.get("/account"))
        refused = {
            "csrf": token,
            "id": values["{job_id}"][0],
            "back": job,
            "cron": MARKUP,
            "zone": MARKUP,
            "grace_min": MARKUP,
        }
        shown = [await browser.client.post("/act/expect", data=refused)]
        for path, query in asked(values):
            shown.append(await browser.client.get(path, params=query))
        seen = 0
        for page in shown:
            assert page.status_code in (200, 303, 404, 422), f"{page.url}: {page.status_code} {page.text[:300]}"
            if page.headers.get("content-type", "").startswith("text/html"):
                found = elements_not_ours(page.text)
                if page.url.path.endswith(
                    "/shown"
                ):  # a mail has inline styles; in its sandbox nothing runs or is loaded
                    policy = page.headers["content-security-policy"]
                    assert "sandbox" in policy, page.url
                    assert "allow-" not in policy, page.url
                    found = [
                        one
                        for one in found
                        if re.search(r"<(?!style)(?:script|img|svg|object|embed)|\son\w+=|^\w+=", one)
                    ]
                assert found == [], page.url
                seen += "&lt;script&gt;" in page.text
            elif page.status_code == 200:
                assert page.headers["x-content-type-options"] == "nosniff"
        assert seen > 30, "the markup is on the pages, as text"


async def test_every_post_of_a_page_needs_the_token_of_its_own_session(api: Api) -> None:
    posts = {one.path for one in rights() if one.is_page and one.method not in ("GET", "HEAD")}
    relays = {path for path in posts if path.startswith("/v1/")}  # they take a key, which no other site's form can send
    assert {one.path for one in pages("POST", "PUT", "PATCH", "DELETE")} == posts - relays - WITHOUT_TOKEN.keys()
    async with browsing(api) as browser, browsing(api) as other:
        await _signed_in(api, browser)
        await _signed_in(api, other, "Kim")
        theirs = token_in(await other.get("/account"))
        for right in pages("POST"):
            path = re.sub(r"\{\w+\}", "xyz_" + "0" * 28, right.path)
            for sent in ({}, {"csrf": ""}, {"csrf": theirs}, {"csrf": "0" * 64}, {"csrf": "ü"}):
                answer = await browser.client.post(path, data={"x": "1", **sent})
                assert answer.status_code == 403, f"{path} {sent}: {answer.status_code}"
            header = await browser.client.post(path, data={"x": "1"}, headers={"X-CSRF-Token": theirs})
            assert header.status_code == 403, path
        assert (await browser.get("/account")).status_code == 200, "still signed in"


async def test_no_answer_of_any_route_can_be_framed_or_read_as_another_type(api: Api) -> None:
    async with browsing(api) as browser, browsing(api) as stranger:
        await _signed_in(api, browser)
        for right in rights():
            if right.path == "/live":
                continue
            path = re.sub(r"\{\w+\}", "xyz_" + "0" * 28, right.path)
            for client in (browser.client, stranger.client):
                answer = await client.request(right.method, path)
                where = f"{right.method} {path}: {answer.status_code}"
                assert answer.headers["x-frame-options"] == "DENY", where
                assert "frame-ancestors 'none'" in answer.headers["content-security-policy"], where
                assert answer.headers["x-content-type-options"] == "nosniff", where
        for path in ("/nowhere", "/docs", "/assets/none.js", "/proof/%00", "/readyz"):
            assert (await stranger.get(path)).headers["x-frame-options"] == "DENY", path


async def test_no_page_leads_to_another_site(api: Api) -> None:
    async with browsing(api) as browser, browsing(api) as stranger:
        await _signed_in(api, browser)
        token = token_in(await browser.get("/account"))
        led = 0
        for right in pages("POST"):
            if right.path in ("/sign-out/now", "/service/doctor", "/service/test"):
                continue
            path = re.sub(r"\{\w+\}", "xyz_" + "0" * 28, right.path)
            for evil in ELSEWHERE:
                data = {"csrf": token, "back": evil, "next": evil, "id": "alr_" + "0" * 28}
                answer = await browser.client.post(path, params={"next": evil, "back": evil}, data=data)
                if "location" in answer.headers:
                    led += 1
                    where = leads_to(str(answer.url), answer.headers["location"])
                    assert where == "tocsin.test", f"{path} {evil!r}: {answer.headers['location']}"
        assert led > len(ELSEWHERE), "some of them lead on"
        for evil in ELSEWHERE:
            for client, path in (
                (browser, "/sign-in"),
                (stranger, "/sign-in"),
                (browser, "/prove"),
                (stranger, "/sign-in/provider"),
            ):
                answer = await client.client.get(path, params={"next": evil})
                assert leads_to(str(answer.url), answer.headers.get("location", "/")) == "tocsin.test", (path, evil)
            chosen = await stranger.client.post("/reading/choice", data={"theme": "dark", "back": evil})
            assert leads_to(str(chosen.url), chosen.headers["location"]) == "tocsin.test", evil
