"""Who may do what: every operation and page as every role and scope, from the table of rights. No hole."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from app.domain.person import Role
from app.worker import run
from tests.support.api import ENROL_KEY, Api, serving
from tests.support.browser import browsing, link_for, person
from tests.support.rights_page import OPEN, PAGE, Right, page, rights

NOTHING = "0" * 28
_PREFIX = {"customer": "cus", "agent": "agt", "job": "job", "alert": "alt", "event": "evt", "run": "run"}
_ONE = [{"field": "agent", "test": "is", "value": "sql01"}]
_ALL = [{"field": "job", "test": "like", "value": "*"}]


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


def test_the_page_of_rights_is_what_the_routes_need():
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_route_needs_a_role_or_says_what_stands_for_it():
    without = {f"{one.method} {one.path}" for one in rights() if one.needs == "nothing"}
    assert not without
    assert {f"{one.method} {one.path}" for one in rights()} >= OPEN.keys()


def test_every_change_on_a_page_needs_the_token_of_a_page_of_ours():
    changes = [one for one in rights() if one.is_page and one.method not in ("GET", "HEAD") and one.role is not None]
    assert len(changes) > 10
    assert [one.path for one in changes if not one.has_token] == []


def address(right: Right) -> str:
    """Return an address of a route, about things that do not exist."""
    return re.sub(r"\{(\w+?)(_id)?\}", lambda match: f"{_PREFIX.get(match[1], 'xyz')}_{NOTHING}", right.path)


async def key_of(api: Api, **rights_of_key: object) -> str:
    """Return a new key."""
    made = await api.tell("POST", "/v1/keys", json={"name": "a test", **rights_of_key})
    key: str = made["key"]
    return key


@pytest.mark.slow
async def test_every_operation_as_every_key(api: Api):
    [customer] = await api.items("/v1/customers")
    callers: dict[str, tuple[str, Role | None, bool]] = {
        role.value: (await key_of(api, kind="access", role=role.value), role, False) for role in Role
    }
    for role in (Role.READER, Role.OPERATOR, Role.ADMINISTRATOR):
        key = await key_of(api, kind="access", role=role.value, customers=[customer["id"]])
        callers[f"{role.value} of one customer"] = (key, role, True)
    callers["viewer"] = (await key_of(api, kind="viewer"), Role.READER, False)
    callers["enrol"] = (ENROL_KEY, None, False)
    callers["monitor"] = (await key_of(api, kind="monitor"), None, False)
    callers["nobody"] = ("not-a-key-at-all", None, False)
    holes = []
    for right in rights():
        if right.is_page or right.role is None:
            continue
        for name, (key, role, is_scoped) in callers.items():
            answer = await api.ask(right.method, address(right), key=key, json={})
            may = role is not None and role.covers(right.role) and (right.is_scoped or not is_scoped)
            may = may or (name == "monitor" and "kind monitor" in right.needs)
            is_let_in = answer.status_code not in (401, 403)
            if may != is_let_in:
                holes.append(f"{name}: {right.method} {right.path}: {answer.status_code}")
    assert holes == []


@pytest.mark.slow
async def test_every_page_as_every_role(api: Api):
    [customer] = await api.items("/v1/customers")
    holes = []
    for role in Role:
        for customers in (None,) if role is Role.OWNER else (None, (customer["id"],)):
            who = await person(api, f"{role.value}{bool(customers)}@example.org", role, customers)
            async with browsing(api) as browser:
                path = await link_for(api, who)
                await browser.send(path, path)
                for right in rights():
                    if not right.is_page or right.role is None or right.path in ("/live", "/sign-out/now"):
                        continue
                    answer = await browser.client.request(right.method, address(right))
                    may = role.covers(right.role) and not ("every customer" in right.needs and customers)
                    if not may and answer.status_code != 404:
                        holes.append(f"{role}: {right.method} {right.path}: {answer.status_code}")
                    if may and right.method == "POST" and answer.status_code not in (403, 404, 411):
                        holes.append(f"{role}: {right.method} {right.path} without a token: {answer.status_code}")
    async with browsing(api) as stranger:
        for right in rights():
            if right.is_page and right.role is not None:
                answer = await stranger.client.request(right.method, address(right))
                if answer.status_code not in (303, 401):
                    holes.append(f"nobody: {right.method} {right.path}: {answer.status_code}")
    assert holes == []


@pytest.mark.slow
async def test_a_person_of_chosen_customers_opens_every_page_that_is_theirs(
    sqlite_database_url: str, tmp_path: Path
) -> None:
    """Everything that the table of rights opens to a role is open, about their own customer, and closed about another."""
    async with serving(sqlite_database_url, tmp_path, work=run) as api:
        [mine] = await api.items("/v1/customers")
        other = await api.tell("POST", "/v1/customers", json={"name": "Beta"})
        ids = {one["id"]: await _things_of(api, one) for one in (mine, other)}
        closed: list[str] = []
        open_to_others: list[str] = []
        opened = set()
        for role in (Role.READER, Role.OPERATOR, Role.ADMINISTRATOR):
            who = await person(api, f"{role.value}@example.org", role, (mine["id"],))
            async with browsing(api) as browser:
                path = await link_for(api, who)
                await browser.send(path, path)
                for right in rights():
                    if not right.is_page or right.role is None or right.method != "GET" or right.path in _NOT_OPENED:
                        continue
                    if not role.covers(right.role) or "every customer" in right.needs:
                        continue
                    for own in _addresses(right.path, ids[mine["id"]]):
                        answer = await browser.get(own)
                        opened.add(right.path)
                        if answer.status_code != 200:
                            closed.append(f"{role}: {own}: {answer.status_code}")
                    theirs = _addresses(right.path, ids[other["id"]]) if "{" in right.path else []
                    open_to_others += [own for own in theirs if (await browser.get(own)).status_code != 404]
        assert closed == []
        assert open_to_others == []
        assert {"/", "/job/{job_id}", "/proof/{proof_id}", "/mail/{message_id}/shown", "/connect/{key_id}"} <= opened


_NOT_OPENED = ("/live", "/prove/provider")  # a stream that does not end, and a redirect to another host


async def _things_of(api: Api, customer: dict[str, str]) -> dict[str, list[str]]:
    """Return the ids of what a failure of a customer leads to, by the parameter of an address."""
    key = await key_of(api, kind="enrol", customer_id=customer["id"])
    failure = {"key": "1", "agent": f"host of {customer['name']}", "job": "nightly", "outcome": "failure", "log": "x"}
    assert (await api.ask("POST", "/v1/events", key=key, json=failure)).is_success
    async with asyncio.timeout(60):
        while not await api.items("/v1/messages", customer_id=customer["id"]):  # noqa: ASYNC110  (other tasks of ours send)
            await asyncio.sleep(0.05)
    found = {
        noun: [one["id"] for one in await api.items(f"/v1/{noun}", customer_id=customer["id"])]
        for noun in ("agents", "events", "jobs", "runs", "alerts", "notices", "messages")
    }
    await api.tell("POST", "/v1/connect", json={"tool": "curl", "agent_id": found["agents"][0], "job": "nightly"})
    keys = [
        one for one in await api.items("/v1/keys") if one["kind"] == "agent" and one["customer_id"] == customer["id"]
    ]
    assert keys
    return {
        "{job_id}": found["jobs"],
        "{event_id}": found["events"],
        "{message_id}": found["messages"],
        "{key_id}": [one["id"] for one in keys],
        "{proof_id}": [own for noun in ("events", "runs", "alerts", "notices", "messages") for own in found[noun]],
    }


def _addresses(path: str, values: dict[str, list[str]]) -> list[str]:
    found = re.search(r"\{\w+\}", path)
    return [path.replace(found[0], value) for value in values[found[0]]] if found else [path]


@pytest.mark.parametrize(
    ("role", "is_scoped", "whose", "matchers", "days", "status"),
    [
        ("reader", False, "mine", _ONE, 1, 403),
        ("operator", False, "mine", _ONE, 1, 201),
        ("operator", False, None, _ONE, 1, 403),  # the same name at every customer
        ("operator", False, "mine", _ALL, 1, 403),
        ("operator", False, "mine", _ONE, 8, 403),
        ("operator", True, "mine", _ONE, 1, 201),
        ("operator", True, "other", _ONE, 1, 422),
        ("operator", True, "nobody", _ONE, 1, 422),
        ("operator", True, None, _ONE, 1, 422),
        ("administrator", True, "mine", _ALL, 30, 201),
        ("administrator", True, None, _ALL, 1, 422),
        ("administrator", False, None, _ALL, 30, 201),
    ],
)
async def test_who_may_silence_what(
    api: Api, role: str, is_scoped: bool, whose: str | None, matchers: object, days: int, status: int
):
    mine, other = [await api.tell("POST", "/v1/customers", json={"name": name}) for name in ("Acme", "Beta")]
    ids = {"mine": mine["id"], "other": other["id"], "nobody": f"cus_{NOTHING}", None: None}
    key = await key_of(api, kind="access", role=role, **({"customers": [mine["id"]]} if is_scoped else {}))
    ends_at = (api.context.clock() + timedelta(days=days, minutes=-1)).isoformat()
    wanted = {"customer_id": ids[whose], "matchers": matchers, "ends_at": ends_at, "comment": "a test"}
    made = await api.ask("POST", "/v1/silences", key=key, json=wanted)
    assert made.status_code == status, made.text
    if whose in ("other", "nobody"):
        assert made.json()["detail"] == f"there is no customer {ids[whose]}"
    if status == 201:
        assert (await api.ask("DELETE", f"/v1/silences/{made.json()['id']}", key=key)).status_code == 204
        assert [one["id"] for one in await api.items("/v1/silences", state="ended")] == [made.json()["id"]]


async def test_an_operator_cannot_widen_a_silence(api: Api):
    [customer] = await api.items("/v1/customers")
    key = await key_of(api, kind="access", role="operator", customers=[customer["id"]])
    ends_at = (api.context.clock() + timedelta(days=1)).isoformat()
    wanted = {"customer_id": customer["id"], "matchers": _ONE, "ends_at": ends_at, "comment": "a test"}
    made = await api.tell("POST", "/v1/silences", key=key, json=wanted)
    late = (api.context.clock() + timedelta(days=30)).isoformat()
    for change, status in (({"matchers": _ALL}, 403), ({"ends_at": late}, 403), ({"customer_id": None}, 422)):
        answer = await api.ask("PATCH", f"/v1/silences/{made['id']}", key=key, json=change)
        assert answer.status_code == status, answer.text
    assert (await api.tell("GET", f"/v1/silences/{made['id']}", key=key)) == made
    await api.tell("PATCH", f"/v1/silences/{made['id']}", key=key, json={"comment": "another"})


async def test_a_key_of_one_customer_cannot_tell_another_from_nothing(sqlite_database_url: str, tmp_path: Path):
    async with serving(sqlite_database_url, tmp_path, work=run) as api:
        await compare(api)


async def compare(api: Api) -> None:
    """Compare what a key of one customer is answered about another with what it is answered about nothing."""
    mine = await api.tell("POST", "/v1/customers", json={"name": "Acme"})
    other = await api.tell("POST", "/v1/customers", json={"name": "Beta"})
    for customer in (mine, other):
        key = await key_of(api, kind="enrol", customer_id=customer["id"])
        event = {"agent": f"host-{customer['name']}", "job": "nightly", "outcome": "failure"}
        assert (await api.ask("POST", "/v1/events", key=key, json=event)).is_success
        ends_at = (api.context.clock() + timedelta(days=1)).isoformat()
        silence = {"customer_id": customer["id"], "matchers": _ONE, "comment": "a test", "ends_at": ends_at}
        await api.tell("POST", "/v1/silences", json=silence)
    async with asyncio.timeout(60):
        while len(await api.items("/v1/messages")) < 2:  # noqa: ASYNC110  (other tasks of ours decide and compose)
            await asyncio.sleep(0.05)
    reader = await key_of(api, kind="access", role="operator", customers=[mine["id"]])
    for noun in ("agents", "jobs", "events", "runs", "alerts", "notices", "messages", "silences"):
        shown = await api.tell("GET", f"/v1/{noun}", key=reader)
        assert {one["customer_id"] for one in shown["items"]} == {mine["id"]}
        for theirs in await api.items(f"/v1/{noun}", customer_id=other["id"]):
            nothing = theirs["id"][:4] + NOTHING
            hidden = await api.ask("GET", f"/v1/{noun}/{theirs['id']}", key=reader)
            absent = await api.ask("GET", f"/v1/{noun}/{nothing}", key=reader)
            assert same(hidden, theirs["id"]) == same(absent, nothing)
            assert hidden.status_code == 404
            if noun in ("messages", "silences"):
                await compare_acts(api, reader, noun, theirs["id"])
        by_customer = [
            await api.ask("GET", f"/v1/{noun}", key=reader, params={"customer_id": own})
            for own in (other["id"], f"cus_{NOTHING}")
        ]
        assert by_customer[0].json() == by_customer[1].json() == {"items": [], "next": None}
    [alert] = await api.items("/v1/alerts", customer_id=other["id"])
    for act, body in (("acknowledge", {}), ("close", {"reason": "x"})):
        hidden = await api.ask("POST", f"/v1/alerts/{alert['id']}:{act}", key=reader, json=body)
        absent = await api.ask("POST", f"/v1/alerts/{alert['id'][:4]}{NOTHING}:{act}", key=reader, json=body)
        assert same(hidden, alert["id"]) == same(absent, f"{alert['id'][:4]}{NOTHING}")
        assert hidden.status_code == 404
    assert (await api.tell("GET", f"/v1/alerts/{alert['id']}"))["acknowledged_at"] is None
    [own] = await api.items("/v1/alerts", customer_id=mine["id"])
    assert (await api.ask("POST", f"/v1/alerts/{own['id']}:acknowledge", key=reader)).status_code == 200


async def compare_acts(api: Api, key: str, noun: str, own: str) -> None:
    """Compare what a key is answered that acts on what it may not see, and on nothing."""
    acts = [("POST", ":retry", {}), ("GET", "/raw", {})]
    if noun == "silences":
        acts = [("DELETE", "", {}), ("DELETE", "", {"If-Match": '"77"'}), ("PATCH", "", {"If-Match": '"77"'})]
    for method, act, headers in acts:
        hidden, absent = [
            await api.ask(method, f"/v1/{noun}/{one}{act}", key=key, headers=headers, json={"comment": "x"})
            for one in (own, own[:4] + NOTHING)
        ]
        assert same(hidden, own) == same(absent, own[:4] + NOTHING)
        assert hidden.status_code == 404


def same(answer: httpx.Response, own: str) -> tuple[int, str]:
    """Return an answer without the id that was asked for."""
    return answer.status_code, answer.text.replace(own, "ID")
