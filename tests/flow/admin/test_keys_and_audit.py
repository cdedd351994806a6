"""Keys, retention and the audit log over HTTP."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.admin.retention import current_retention
from tests.support.api import ADMIN_KEY, ENROL_KEY, Api, serving
from tests.support.movable_clock import MovableClock


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


@pytest.fixture
async def enrolment_key(api: Api) -> str:
    """Return the path of an enrolment key that is limited."""
    [customer] = await api.items("/v1/customers")
    body = {"kind": "enrol", "name": "site B", "customer_id": customer["id"], "names": ["b-*"], "events_a_minute": 5}
    return str((await api.ask("POST", "/v1/keys", json=body)).headers["Location"])


async def test_the_name_and_limits_of_a_key_can_be_changed(api: Api, enrolment_key: str) -> None:
    before = await api.tell("GET", enrolment_key)
    change = {
        "name": "site C",
        "names": ["c-*", "d-*"],
        "from_addresses": ["10.1.0.1", "10.2.3.4/16"],
        "agents_most": 3,
        "agents_until": "2027-01-31T00:00:00Z",
        "events_a_minute": None,
        "bytes_a_day": 10_000,
    }
    answer = await api.ask("PATCH", enrolment_key, json=change, headers={"If-Match": '"v1"'})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"v2"')
    networks = {"from_addresses": ["10.1.0.1/32", "10.2.0.0/16"]}
    assert answer.json() == before | change | networks | {"version": 2}
    assert await api.tell("GET", enrolment_key) == answer.json()
    stale = await api.ask("PATCH", enrolment_key, json={"name": "late"}, headers={"If-Match": '"v1"'})
    assert stale.status_code == 412
    assert (await api.ask("DELETE", enrolment_key, headers={"If-Match": '"v1"'})).status_code == 412
    [audited] = [entry for entry in await api.items("/v1/audit") if entry["action"] == "change"]
    assert audited["noun"] == "key"
    assert audited["change"]["names"] == [["b-*"], ["c-*", "d-*"]]
    assert set(audited["change"]) == set(change)


async def test_a_changed_budget_and_limit_hold_for_the_next_request(api: Api) -> None:
    [key] = await api.items("/v1/keys", kind="enrol")
    path, event = f"/v1/keys/{key['id']}", {"job": "db", "outcome": "success"}

    async def sent(agent: str) -> int:
        return (await api.ask("POST", "/v1/events", key=ENROL_KEY, json=event | {"agent": agent})).status_code

    assert await sent("sql01") == 202
    await api.tell("PATCH", path, json={"events_a_minute": 1})
    assert [await sent("sql01"), await sent("sql01")] == [429, 429]
    await api.tell("PATCH", path, json={"events_a_minute": None, "names": ["web*"]})
    assert [await sent("sql01"), await sent("web01")] == [403, 202]
    await api.tell("PATCH", path, json={"names": [], "agents_most": 1})
    assert [await sent("sql01"), await sent("web02")] == [202, 403]


@pytest.mark.parametrize(
    ("kind", "change", "status"),
    [
        ("admin", {"name": "Robin"}, 200),
        ("admin", {"names": ["a-*"]}, 422),
        ("admin", {"events_a_minute": 5}, 422),
        ("admin", {"name": ""}, 422),
        ("admin", {"kind": "viewer"}, 422),
        ("admin", {"key": "tocsin_admin_1"}, 422),
        ("enrol", {"from_addresses": ["10.0.0.0/99"]}, 422),
        ("enrol", {"agents_most": 0}, 422),
        ("enrol", {"events_a_minute": -1}, 422),
        ("enrol", {}, 200),
    ],
)
async def test_a_key_changes_only_in_what_its_kind_can_have(
    api: Api, kind: str, change: dict[str, object], status: int
) -> None:
    [key] = await api.items("/v1/keys", kind=kind, revoked=False)
    answer = await api.ask("PATCH", f"/v1/keys/{key['id']}", json=change)
    assert answer.status_code == status
    assert ADMIN_KEY not in answer.text


async def test_only_administrators_change_keys_and_none_that_is_revoked(api: Api, enrolment_key: str) -> None:
    viewer = await api.tell("POST", "/v1/keys", json={"kind": "viewer", "name": "board"})
    assert (await api.ask("PATCH", enrolment_key, key=viewer["key"], json={"name": "x"})).status_code == 403
    await api.ask("DELETE", enrolment_key)
    refused = await api.ask("PATCH", enrolment_key, json={"name": "x"})
    assert (refused.status_code, refused.json()["code"]) == (409, "key_revoked")
    assert (await api.ask("PATCH", "/v1/keys/key_" + "0" * 28, json={"name": "x"})).status_code == 404


async def test_a_rotated_key_works_with_both_secrets_until_the_overlap_ends(database_url: str, tmp_path: Path) -> None:
    clock = MovableClock()
    async with serving(database_url, tmp_path, clock=clock) as api:
        made = await api.tell("POST", "/v1/keys", json={"kind": "viewer", "name": "a board"})
        turned = await api.tell("POST", f"/v1/keys/{made['id']}:rotate", json={"overlap_hours": 2})
        assert turned["key"] != made["key"]
        assert turned["version"] == made["version"] + 1
        for key in (made["key"], turned["key"]):
            assert (await api.ask("GET", "/v1/customers", key=key)).status_code == 200
        clock.ahead = timedelta(hours=2, seconds=1)
        api.app.state.authenticator.forget()
        assert (await api.ask("GET", "/v1/customers", key=made["key"])).status_code == 401
        assert (await api.ask("GET", "/v1/customers", key=turned["key"])).status_code == 200
        [entry] = await api.items("/v1/audit", action="rotate")
        assert turned["key"] not in str(entry)


async def test_a_key_ends_and_shows_from_where_it_was_used(database_url: str, tmp_path: Path) -> None:
    clock = MovableClock()
    async with serving(database_url, tmp_path, clock=clock) as api:
        ends = (clock() + timedelta(hours=1)).isoformat()
        made = await api.tell("POST", "/v1/keys", json={"kind": "viewer", "name": "for an hour", "expires_at": ends})
        assert (await api.ask("GET", "/v1/customers", key=made["key"])).status_code == 200
        await api.app.state.authenticator._touch()
        assert (await api.tell("GET", f"/v1/keys/{made['id']}"))["last_used_from"] == "127.0.0.1"
        clock.ahead = timedelta(hours=1)
        api.app.state.authenticator.forget()
        assert (await api.ask("GET", "/v1/customers", key=made["key"])).status_code == 401
        [admin] = await api.items("/v1/keys", kind="admin", revoked=False)
        later = (clock() + timedelta(hours=1)).isoformat()
        refused = await api.ask("PATCH", f"/v1/keys/{admin['id']}", json={"expires_at": later})
        assert (refused.status_code, refused.json()["code"]) == (409, "last_admin_key")


async def test_only_an_owner_makes_keys_and_a_role_is_for_access_only(api: Api) -> None:
    body = {"kind": "access", "name": "scripts", "role": "administrator"}
    editor = (await api.tell("POST", "/v1/keys", json=body))["key"]
    assert (await api.ask("POST", "/v1/keys", key=editor, json=body)).status_code == 403
    assert (await api.ask("POST", "/v1/customers", key=editor, json={"name": "Beta"})).status_code == 201
    for wrong in (
        {"kind": "access", "name": "x"},
        {"kind": "viewer", "name": "x", "role": "reader"},
        {"kind": "access", "name": "x", "role": "owner", "customers": ["cus_" + "0" * 32]},
        {"kind": "access", "name": "x", "role": "reader", "customers": []},
        {"kind": "viewer", "name": "x", "expires_at": "2020-01-01T00:00:00Z"},
    ):
        assert (await api.ask("POST", "/v1/keys", json=wrong)).status_code == 422, wrong
