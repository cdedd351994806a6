"""What all managed resources have in common: create, list by pages, change with or without If-Match, delete, each with an audit entry."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Api, serving

MATCHERS = [{"field": "job", "test": "like", "value": "nightly-*"}]


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def first(api: Api, path: str) -> Any:
    return (await api.tell("GET", path))["items"][0]


async def bodies(api: Api) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Return for each resource a body that creates one, and a change of it."""
    customer = (await first(api, "/v1/customers"))["id"]
    recipient = (await first(api, "/v1/recipients"))["id"]
    agent = (await api.tell("POST", "/v1/agents", json={"customer_id": customer, "name": "ex02"}))["id"]
    mail = [{"transport": "smtp", "address": "ann@example.org"}]
    silence = {
        "matchers": MATCHERS,
        "ends_at": "2099-01-01T00:00:00Z",
        "starts_at": "2098-12-01T00:00:00+01:00",
        "comment": "tapes",
    }
    return {
        "customers": ({"name": "Acme", "time_zone": "Europe/Berlin"}, {"time_zone": "Asia/Tokyo"}),
        "agents": ({"customer_id": customer, "name": "sql01"}, {"labels": {"site": "hq"}}),
        "jobs": ({"agent_id": agent, "name": "nightly"}, {"expectation": {"cron": "0 2 * * *"}}),
        "recipients": ({"name": "on call", "transports": mail}, {"name": "day shift"}),
        "routes": ({"name": "nights", "recipients": [recipient], "matchers": MATCHERS}, {"group_by": ["label:site"]}),
        "rules": ({"name": "twice", "kind": "failed", "after_in_row": 2}, {"after_in_row": 3}),
        "silences": (silence, {"comment": "more tapes"}),
        "summary-schedules": ({"name": "weekly", "every": "week", "recipients": [recipient]}, {"weekday": 5}),
    }


NOUNS = ("customers", "agents", "jobs", "recipients", "routes", "rules", "silences", "summary-schedules")


@pytest.mark.parametrize("noun", NOUNS)
async def test_a_resource_is_created_changed_and_deleted(api: Api, noun: str) -> None:
    fields, change = (await bodies(api))[noun]
    made = await api.ask("POST", f"/v1/{noun}", json=fields)
    assert made.status_code == 201, made.text
    path = made.headers["Location"]
    assert made.headers["ETag"] == '"v1"'
    shown = await api.ask("GET", path)
    assert made.json().items() <= shown.json().items(), "the page of one may show more: which of its addresses fail"
    assert shown.headers["ETag"] == '"v1"'

    changed = await api.ask("PATCH", path, json=change, headers={"If-Match": '"v1"'})
    assert changed.status_code == 200, changed.text
    assert changed.headers["ETag"] == '"v2"'
    [(field, value)] = change.items()
    if isinstance(value, dict):
        assert changed.json()[field].items() >= value.items()
    else:
        assert changed.json()[field] == value
    left = {name: kept for name, kept in fields.items() if name not in (field, "starts_at", "ends_at", "matchers")}
    assert changed.json().items() >= left.items(), "what the patch left out stays"

    stale = await api.ask("PATCH", path, json=change, headers={"If-Match": '"v1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale_edit")
    assert (await api.ask("DELETE", path, headers={"If-Match": '"v1"'})).status_code == 412
    gone = await api.ask("DELETE", path, headers={"If-Match": '"v1", "v2"'})
    assert gone.status_code == 204, gone.text
    assert (await api.ask("GET", path)).status_code == (200 if noun == "silences" else 404)

    entries = await api.items("/v1/audit", thing_id=made.json()["id"])
    assert [(entry["action"], entry["who"]) for entry in entries] == [
        ("delete", "TOCSIN_ADMIN_KEY"),
        ("change", "TOCSIN_ADMIN_KEY"),
        ("create", "TOCSIN_ADMIN_KEY"),
    ]
    assert list(entries[1]["change"]) == [field]


@pytest.mark.parametrize("noun", NOUNS)
async def test_a_viewer_may_read_but_not_create(api: Api, noun: str) -> None:
    fields, _ = (await bodies(api))[noun]
    viewer = (await api.tell("POST", "/v1/keys", json={"kind": "viewer", "name": "board"}))["key"]
    assert (await api.ask("GET", f"/v1/{noun}", key=viewer)).status_code == 200
    refused = await api.ask("POST", f"/v1/{noun}", json=fields, key=viewer)
    assert (refused.status_code, refused.json()["code"]) == (403, "key_scope")
    assert (await api.ask("GET", f"/v1/{noun}", key="no-such-key-at-all")).status_code == 401


@pytest.mark.parametrize("noun", NOUNS)
async def test_unknown_fields_and_ids_are_refused(api: Api, noun: str) -> None:
    fields, change = (await bodies(api))[noun]
    refused = await api.ask("POST", f"/v1/{noun}", json=fields | {"enabeld": False})
    assert (refused.status_code, refused.json()["field"]) == (422, "enabeld")
    assert refused.headers["Content-Type"] == "application/problem+json"
    absent = f"/v1/{noun}/rte_{'0' * 28}"
    for method, body in (("GET", None), ("PATCH", change), ("DELETE", None)):
        answer = await api.ask(method, absent, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), method


async def test_an_edit_without_if_match_is_accepted_and_one_that_changes_nothing_has_no_effect(api: Api) -> None:
    route = await first(api, "/v1/routes")
    same = await api.ask("PATCH", f"/v1/routes/{route['id']}", json={"send_recovery": route["send_recovery"]})
    assert (same.status_code, same.headers["ETag"]) == (200, '"v1"')
    changed = await api.tell("PATCH", f"/v1/routes/{route['id']}", json={"send_recovery": False})
    assert (changed["version"], changed["send_recovery"]) == (2, False)
    odd = await api.ask("PATCH", f"/v1/routes/{route['id']}", json={"position": 3}, headers={"If-Match": 'W/"v2"'})
    assert odd.status_code == 412, "a weak tag matches nothing (RFC 9110, 13.1.1)"


async def test_null_is_refused_for_a_required_field(api: Api) -> None:
    route = await first(api, "/v1/routes")
    refused = await api.ask("PATCH", f"/v1/routes/{route['id']}", json={"name": None})
    assert (refused.status_code, refused.json()["field"]) == (422, "name")
    kept = await api.tell("PATCH", f"/v1/routes/{route['id']}", json={"repeat_every_s": None})
    assert kept["repeat_every_s"] is None


async def test_a_name_is_unique(api: Api) -> None:
    await api.tell("POST", "/v1/customers", json={"name": "Acme"})
    again = await api.ask("POST", "/v1/customers", json={"name": "Acme"})
    assert (again.status_code, again.json()["code"], again.json()["field"]) == (409, "name_taken", "name")
    other = await api.tell("POST", "/v1/customers", json={"name": "Borealis"})
    assert (await api.ask("PATCH", f"/v1/customers/{other['id']}", json={"name": "Acme"})).status_code == 409


async def test_pages_list_each_item_once(api: Api) -> None:
    names = [f"customer {number:02}" for number in range(7)]
    for name in names:
        await api.tell("POST", "/v1/customers", json={"name": name})
    page = await api.tell("GET", "/v1/customers", params={"limit": 3})
    assert len(page["items"]) == 3
    found = [customer["name"] for customer in await api.items("/v1/customers", limit=3)]
    assert sorted(found) == sorted(["My backups", *names])
    assert [one["name"] for one in await api.items("/v1/customers", name="customer 03")] == ["customer 03"]
    for cursor in ("nonsense", "ü", "cnRlXw"):
        refused = await api.ask("GET", "/v1/customers", params={"cursor": cursor})
        assert (refused.status_code, refused.json()["code"]) == (422, "bad_cursor")


async def test_a_resource_in_use_is_not_deleted(api: Api) -> None:
    recipient, customer = await first(api, "/v1/recipients"), await first(api, "/v1/customers")
    refused = await api.ask("DELETE", f"/v1/recipients/{recipient['id']}")
    assert refused.status_code == 409
    assert "route 'everything'" in refused.json()["detail"]
    assert "summary schedule 'every morning'" in refused.json()["detail"]
    agent = await api.tell("POST", "/v1/agents", json={"customer_id": customer["id"], "name": "sql01"})
    job = await api.tell("POST", "/v1/jobs", json={"agent_id": agent["id"], "name": "nightly"})
    assert "1 job" in (await api.ask("DELETE", f"/v1/agents/{agent['id']}")).json()["detail"]
    refused = await api.ask("DELETE", f"/v1/customers/{customer['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert "1 agent" in refused.json()["detail"]
    for path in (f"/v1/jobs/{job['id']}", f"/v1/agents/{agent['id']}"):
        assert (await api.ask("DELETE", path)).status_code == 204
