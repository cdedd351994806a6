"""Keys, retention and the audit log over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.admin.retention import current_retention
from tests.support.api import ADMIN_KEY, ENROL_KEY, Api, serving


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def test_a_key_is_shown_once_works_and_is_revoked_at_once(api: Api) -> None:
    made = await api.ask("POST", "/v1/keys", json={"kind": "admin", "name": "second admin"})
    assert made.status_code == 201
    key = made.json()["key"]
    assert key.startswith("tocsin_admin_")
    shown = await api.tell("GET", made.headers["Location"])
    assert shown == {name: value for name, value in made.json().items() if name != "key"}
    assert "hash" not in shown
    assert (await api.ask("GET", "/v1/customers", key=key)).status_code == 200
    assert (await api.ask("DELETE", made.headers["Location"])).status_code == 204
    assert (await api.ask("GET", "/v1/customers", key=key)).status_code == 401
    [listed] = await api.items("/v1/keys", revoked=True)
    assert (listed["id"], listed["revoked_at"] is not None) == (shown["id"], True)
    assert (await api.ask("DELETE", made.headers["Location"])).status_code == 204, "revoking twice is revoking"


async def test_the_last_admin_key_cannot_be_revoked(api: Api) -> None:
    [only] = await api.items("/v1/keys", kind="admin", revoked=False)
    refused = await api.ask("DELETE", f"/v1/keys/{only['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "last_admin_key")
    assert (await api.ask("GET", "/v1/keys", key=ADMIN_KEY)).status_code == 200


async def test_a_key_is_accepted_for_its_kind_only(api: Api) -> None:
    [customer] = await api.items("/v1/customers")
    agent = await api.tell("POST", "/v1/agents", json={"customer_id": customer["id"], "name": "sql01"})
    made = await api.tell("POST", "/v1/keys", json={"kind": "agent", "name": "sql01", "agent_id": agent["id"]})
    assert made["customer_id"] == customer["id"]
    receipt = await api.tell("POST", "/v1/events", key=made["key"], json={"job": "nightly", "outcome": "success"})
    assert receipt["accepted"] == 1
    for key in (made["key"], ENROL_KEY):
        assert (await api.ask("GET", "/v1/keys", key=key)).status_code == 403
    nothing = {"name": "x"}
    for body in (
        {"kind": "agent"},
        {"kind": "enrol"},
        {"kind": "enrol", "customer_id": "cus_" + "0" * 28},
        {"kind": "viewer", "customer_id": customer["id"]},
        {"kind": "admin", "agent_id": agent["id"]},
        {"kind": "root"},
    ):
        assert (await api.ask("POST", "/v1/keys", json=nothing | body)).status_code == 422, body


async def test_the_audit_log_never_holds_a_key(api: Api) -> None:
    made = await api.tell("POST", "/v1/keys", json={"kind": "viewer", "name": "board"})
    [entry] = await api.items("/v1/audit", noun="key", thing_id=made["id"])
    assert (entry["action"], entry["who"]) == ("create", "TOCSIN_ADMIN_KEY")
    assert made["key"] not in str(await api.items("/v1/audit"))


async def test_an_audit_entry_names_the_key(api: Api) -> None:
    ann = (await api.tell("POST", "/v1/keys", json={"kind": "admin", "name": "Ann"}))["key"]
    await api.tell("POST", "/v1/customers", key=ann, json={"name": "Acme"})
    [entry] = await api.items("/v1/audit", who="Ann")
    assert (entry["action"], entry["noun"], entry["change"]["name"]) == ("create", "customer", "Acme")


async def test_retention_comes_from_the_settings_until_it_is_set(api: Api) -> None:
    first = await api.ask("GET", "/v1/retention")
    assert first.json() == {"keep_events_days": 90, "keep_history_days": 400, "version": 0}
    days = {"keep_events_days": 30, "keep_history_days": 100}
    kept = await api.ask("PUT", "/v1/retention", json=days, headers={"If-Match": first.headers["ETag"]})
    assert kept.json() == days | {"version": 1}
    stale = await api.ask("PUT", "/v1/retention", json=days, headers={"If-Match": '"v0"'})
    assert stale.status_code == 412
    assert (await api.ask("PUT", "/v1/retention", json=days | {"keep_history_days": 1})).status_code == 422
    async with api.context.database.read() as tx:
        kept = await current_retention(tx, api.context.settings)
        assert (kept.keep_events_days, kept.keep_history_days) == tuple(days.values())
    [entry] = await api.items("/v1/audit", noun="retention")
    assert entry["change"] == {"keep_events_days": [90, 30], "keep_history_days": [400, 100]}
