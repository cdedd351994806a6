"""Connect, Relays, Service and Wall: who may open and use them, and what is never on them."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from app.domain.person import Role
from app.http.pages import wall
from app.store.tables_managed import sessions
from app.worker import run
from tests.support.api import Api, serving
from tests.support.browser import browsing, link_for, person, token_in

_SECRET = re.compile(r'<code id="made">(\S+)</code>')
_MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
_TO_KIM = {"transport": "file", "address": "kim@example.org"}
_OF_EVERYTHING = ["/service", "/service/keys", "/service/links", "/service/audit"]
_POSTS = [
    *("/service/doctor", "/service/test", "/service/retention", "/service/keys", "/service/links"),
    *(f"/service/keys/key_{'0' * 28}/revoke", f"/service/keys/key_{'0' * 28}/rotate"),
    f"/service/links/shl_{'0' * 28}/revoke",
    *("/relays/new", f"/relays/rly_{'0' * 28}/code", f"/relays/rly_{'0' * 28}/act"),
]


@pytest.fixture
async def api(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(sqlite_database_url, tmp_path, work=run) as api:
        yield api


@pytest.mark.parametrize(
    ("role", "is_scoped", "connect", "service"),
    [
        (Role.READER, False, 404, 404),
        (Role.OPERATOR, False, 404, 404),
        (Role.ADMINISTRATOR, False, 200, 200),
        (Role.ADMINISTRATOR, True, 200, 404),
        (Role.OWNER, False, 200, 200),
    ],
)
async def test_each_role_opens_what_is_for_it(
    api: Api, role: Role, *, is_scoped: bool, connect: int, service: int
) -> None:
    [customer] = await api.items("/v1/customers")
    customers = (customer["id"],) if is_scoped else None
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "robin@example.org", role, customers))
        await browser.send(path, path)
        assert (await browser.get("/connect")).status_code == connect
        assert (await browser.get("/relays")).status_code == 200
        for path in _OF_EVERYTHING:
            assert (await browser.get(path)).status_code == service, path
        for path in _POSTS if service == 404 else []:
            answer = await browser.send("/relays", path, name="x", what="doctor", kind="admin")
            assert answer.status_code == 404, path
        for path in ["/connect/new", *_POSTS]:
            assert (await browser.client.post(path, data={"csrf": "x"})).status_code in (403, 404), path
    async with browsing(api) as stranger:
        for path in ["/connect", "/relays", *_OF_EVERYTHING]:
            assert (await stranger.get(path)).headers["location"].startswith("/sign-in"), path


async def test_an_administrator_of_one_customer_connects_no_host_of_another(api: Api) -> None:
    [customer] = await api.items("/v1/customers")
    other = await api.tell("POST", "/v1/customers", json={"name": "Other"})
    agent = await api.tell("POST", "/v1/agents", json={"name": "sql01", "customer_id": other["id"]})
    key = await api.tell("POST", "/v1/keys", json={"kind": "agent", "name": "sql01", "agent_id": agent["id"]})
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "robin@example.org", Role.ADMINISTRATOR, (customer["id"],)))
        await browser.send(path, path)
        page = await browser.get("/connect")
        assert "Other" not in page.text
        assert "sql01" not in page.text
        assert (await browser.get(f"/connect/{key['id']}")).status_code == 404
        sent = {"tool": "curl", "host": "files01"}
        answer = await browser.send("/connect", "/connect/new", customer=other["id"], **sent)
        assert answer.status_code == 404
        assert (await browser.send("/connect", "/connect/new", customer=customer["id"], **sent)).status_code == 200
    assert [one["name"] for one in await api.items("/v1/agents")] == ["sql01", "files01"]


async def test_only_an_owner_makes_and_ends_keys(api: Api) -> None:
    before = await api.items("/v1/keys", kind="admin", revoked=False)
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "robin@example.org", Role.ADMINISTRATOR))
        await browser.send(path, path)
        page = await browser.get("/service/keys")
        assert "Create a key" not in page.text
        assert "Revoke" not in page.text
        one = f"/service/keys/{before[0]['id']}"
        for act in ["/service/keys", f"{one}/revoke", f"{one}/rotate"]:
            answer = await browser.send("/service/links", act, name="mine", kind="access", role="owner", hours="0")
            assert answer.status_code == 404, act
    assert await api.items("/v1/keys", kind="admin", revoked=False) == before


async def test_a_key_is_made_with_its_role_customers_and_end_rotated_and_shown_once(api: Api) -> None:
    [customer] = await api.items("/v1/customers")
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "ada@example.org", Role.OWNER))
        await browser.send(path, path)
        fields = {"kind": "access", "name": "night shift", "role": "operator", "sees": "chosen"}
        form = "/service/keys?new=access"
        made = await browser.send(form, "/service/keys", **fields, customer=customer["id"], lasts="30")
        first = _SECRET.search(made.text)
        assert first is not None, made.text
        assert (await api.ask("GET", "/v1/jobs", key=first[1])).status_code == 200
        assert first[1] not in (await browser.get("/service/keys")).text
        [key] = await api.items("/v1/keys", kind="access")
        lasts = datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"])
        assert (key["role"], key["customers"], lasts) == ("operator", [customer["id"]], timedelta(days=30))

        rotate = f"/service/keys/{key['id']}/rotate"
        rotated = await browser.send("/service/keys", rotate, hours="24")
        second = _SECRET.search(rotated.text)
        assert second is not None
        assert "The secret before it works until" in rotated.text
        for secret in (first[1], second[1]):
            assert (await api.ask("GET", "/v1/jobs", key=secret)).status_code == 200
        third = _SECRET.search((await browser.send("/service/keys", rotate, hours="0")).text)
        assert third is not None
        statuses = [(await api.ask("GET", "/v1/jobs", key=one[1])).status_code for one in (first, second, third)]
        assert statuses == [401, 401, 200]

        # A form that was tampered with, or is not complete, makes no key that can do more than was meant.
        for wrong in [{"lasts": "7"}, {"sees": ""}, {"role": "admin"}, {"name": " "}, {"customer": "cus_unknown"}]:
            sent = {**fields, "customer": customer["id"], "lasts": "always", **wrong}
            refused = await browser.send("/service/keys", "/service/keys", **sent)
            assert (refused.status_code, _SECRET.search(refused.text)) == (422, None), wrong
            assert 'name="role"' in refused.text, "the form stays open"
        assert (await browser.send("/service/keys", rotate, hours="9000")).status_code == 422
    assert len(await api.items("/v1/keys", kind="access")) == 1


async def test_a_browser_left_open_changes_no_key(api: Api) -> None:
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "ada@example.org", Role.OWNER))
        await browser.send(path, path)
        page = await browser.get("/service/keys")
        [key, *_] = await api.items("/v1/keys", kind="admin", revoked=False)
        before = await api.items("/v1/keys")
        async with api.context.database.write() as tx:
            await tx.connection.execute(update(sessions).values(proved_at=api.context.clock() - timedelta(hours=1)))
        sent = {
            "csrf": token_in(page),
            "kind": "access",
            "name": "x",
            "role": "owner",
            "sees": "all",
            "lasts": "always",
        }
        for path in ["/service/keys", f"/service/keys/{key['id']}/rotate", f"/service/keys/{key['id']}/revoke"]:
            answer = await browser.client.post(path, data={**sent, "hours": "0"})
            assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/prove"), path
        asked = await browser.get("/service/keys?new=access")
        assert asked.headers["location"] == "/prove?next=/service/keys%3Fnew%3Daccess"
    assert await api.items("/v1/keys") == before


async def test_the_keys_show_their_role_and_their_end(api: Api) -> None:
    [customer] = await api.items("/v1/customers")
    ends = {"expires_at": "2099-01-31T12:00:00Z", "customers": [customer["id"]]}
    await api.tell("POST", "/v1/keys", json={"kind": "access", "name": "night shift", "role": "operator", **ends})
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "ada@example.org", Role.OWNER))
        await browser.send(path, path)
        page = await browser.get("/service/keys?kind=access")
    assert "night shift" in page.text
    assert f'operator, {customer["name"]} · until <time datetime="2099-01-31T12:00:00' in page.text


async def test_the_audit_shows_markup_as_text(api: Api) -> None:
    await api.tell("POST", "/v1/customers", json={"name": "Acme " + _MARKUP})
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "ada@example.org", Role.OWNER))
        await browser.send(path, path)
        for path in ["/service/audit", "/service/links", "/service/keys", "/connect", "/service"]:
            page = await browser.get(path)
            assert page.status_code == 200, path
            assert "<img" not in page.text, path
            assert "alert(1)</script>" not in page.text, path


@pytest.mark.parametrize("matchers", [[], [{"field": "job", "test": "like", "value": "*"}]], ids=["all", "matched"])
async def test_a_wall_shows_no_other_customer_and_nothing_that_was_not_chosen(
    api: Api, matchers: list[dict[str, str]]
) -> None:
    [customer] = await api.items("/v1/customers")
    other = await api.tell("POST", "/v1/customers", json={"name": "Other Ltd"})
    for owner, host in ((customer["id"], "files01"), (other["id"], "secret-host")):
        agent = await api.tell("POST", "/v1/agents", json={"name": host, "customer_id": owner})
        key = (await api.tell("POST", "/v1/keys", json={"kind": "agent", "name": host, "agent_id": agent["id"]}))["key"]
        await api.tell("POST", "/v1/events", key=key, json={"job": "nightly", "outcome": "failure", "message": "disk"})

    for _ in range(300):
        if len(await api.items("/v1/alerts", state="open")) == 2:
            break
        await asyncio.sleep(0.1)

    async def show_wall(*shows: str, customers: list[str] | None) -> httpx.Response:
        wanted = {"kind": "wall", "name": "Office", "customer_ids": customers, "shows": shows, "matchers": matchers}
        made = await api.tell("POST", "/v1/share-links", json=wanted)
        async with browsing(api) as stranger:
            return await stranger.get(f"/wall/{made['token']}")

    one = await show_wall("counts", "customers", "jobs", "errors", customers=[customer["id"]])
    assert one.status_code == 200
    assert "set-cookie" not in one.headers
    assert '<noscript><meta http-equiv="refresh" content="30"></noscript>' in one.text
    for hidden in ("Other Ltd", "secret-host", other["id"]):
        assert hidden not in one.text
    for shown in (customer["name"], "nightly", "files01", "disk"):
        assert shown in one.text
    bare = await show_wall(customers=None)
    for hidden in ("Other Ltd", customer["name"], "files01", "nightly", "disk", "Office"):
        assert hidden not in bare.text
    every = await show_wall("customers", customers=None)
    assert "Other Ltd" in every.text
    async with browsing(api) as stranger:
        assert (await stranger.get("/wall/" + "x" * 43)).status_code == 404
        assert (await stranger.get("/wall/" + "%00" * 3)).status_code == 404


async def test_a_wall_without_counts_does_not_show_how_many_customers_there_are(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wall, "CUSTOMERS_SHOWN", 2)
    for number in range(5):
        await api.tell("POST", "/v1/customers", json={"name": f"Customer {number}"})

    async def shown(*shows: str) -> str:
        wanted = {"kind": "wall", "name": "Office", "customer_ids": None, "shows": ["customers", *shows]}
        made = await api.tell("POST", "/v1/share-links", json=wanted)
        async with browsing(api) as stranger:
            return (await stranger.get(f"/wall/{made['token']}")).text

    with_counts = await shown("counts")
    assert "4 more customers" in with_counts
    assert "</time> (UTC)</p>" in with_counts, "a wall says in which zone its times are"
    without = await shown()
    assert "Not all customers are shown" in without
    assert not re.search(r"\d+ more customer", without)


async def test_transports_that_were_never_set_up_are_behind_a_fold(api: Api) -> None:
    [customer] = await api.items("/v1/customers")
    program = {"transport": "alertmanager", "address": "http://127.0.0.1:9/api"}
    body = {"name": "fleet", "customer_id": customer["id"], "transports": [program]}
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "robin@example.org", Role.ADMINISTRATOR))
        await browser.send(path, path)
        assert "alertmanager" in folded(await browser.get("/service"))
        await api.tell("POST", "/v1/recipients", json=body)
        page = await browser.get("/service")
        assert "alertmanager" not in folded(page)
        assert "<b>alertmanager</b>" in page.text
        assert {"zabbix", "nagios", "snmp"} <= folded(page)


def folded(page: httpx.Response) -> set[str]:
    """Return the transports that a reader must unfold to see."""
    fold = re.search(r"<details class=\"note\"><summary>\d+ more.*?</details>", page.text, re.DOTALL)
    return set(re.findall(r"<b>(\w+)</b>", fold[0])) if fold else set()


async def test_the_audit_leads_to_what_was_changed_and_shows_the_values(api: Api) -> None:
    made = await api.tell("POST", "/v1/recipients", json={"name": "Kim", "transports": [_TO_KIM]})
    await api.tell("PATCH", f"/v1/recipients/{made['id']}", json={"name": "Kim B."})
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "robin@example.org", Role.OWNER))
        await browser.send(path, path)
        shown = (await browser.get(f"/service/audit?thing={made['id']}")).text
        assert "<dd>Kim → Kim B.</dd>" in shown
        assert f"Kim <code>{made['id']}</code>" in shown, "its name stands in front of the id"
        [page, *_] = re.findall(r'href="(/routing/recipients/[^"]+)"', shown)
        assert 'value="Kim B."' in (await browser.get(page)).text


async def test_a_relay_that_never_reported_looks_well_on_no_page(api: Api) -> None:
    await api.tell("POST", "/v1/relays", json={"name": "win-mail01"})
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "robin@example.org", Role.OWNER))
        await browser.send(path, path)
        relays, now = await browser.get("/relays"), await browser.get("/")
        assert "The relay works." not in relays.text
        assert "1 relay is not connected yet." in relays.text
        for page in (relays, now):
            panel = page.text[page.text.index("win-mail01") - 200 :]
            assert 'class="mark m-P"' in panel[:800], "neither well nor in trouble"
            assert "not connected yet" in panel[:1200]


@pytest.mark.parametrize(
    ("find", "shown", "checked"),
    [
        ("", "tocsin-report", "tocsin-report"),
        ("VEEAM", "mail", "mail"),
        ("restic printed", "restic", "restic"),
        ("no such tool", None, None),
    ],
)
async def test_the_tools_of_connect_are_filtered_by_the_address(
    api: Api, find: str, shown: str | None, checked: str | None
) -> None:
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, "robin@example.org", Role.OWNER))
        await browser.send(path, path)
        page = (await browser.client.get("/connect", params={"find": find, "host": "db01"})).text
    seen = re.findall(r'<label class="tool"><input type="radio" name="tool" value="([^"]+)"( checked)?', page)
    if shown is None:
        assert seen == []
        assert re.search(r"data-narrow-none>.*No tool matches", page)
        assert re.search(r'action="/connect/new" data-narrow-some hidden', page)
    else:
        assert shown in [tool for tool, _ in seen]
        assert [tool for tool, is_checked in seen if is_checked] == [checked]
        assert "data-narrow-none hidden" in page
        assert not find or len(seen) < 5
    assert 'name="host" value="db01"' in page, "what was filled in stays"
