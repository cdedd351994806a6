"""An acknowledgement in PagerDuty or Opsgenie counts here: only with the right secret, once, in the right order, and it never closes an alert."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.compose import tick as compose
from app.decide import tick as decide
from app.store.tables_managed import recipients
from tests.support.api import Api, serving
from tests.support.movable_clock import MovableClock

SECRET = "the-secret-of-a-subscription-there"
ADDRESSES = {"pagerduty": "https://events.pagerduty.com/v2/enqueue", "opsgenie": "https://api.opsgenie.com"}
KEYS = {"pagerduty": "routing_key", "opsgenie": "api_key"}
WORDS = {"pagerduty": "PagerDuty", "opsgenie": "Opsgenie"}
OPSGENIE_ACTIONS = {"acknowledged": "Acknowledge", "unacknowledged": "UnAcknowledge", "resolved": "Close"}
JANE = "Jane Doe"
FAILURE = {"agent": "files01", "job": "shares", "outcome": "failure", "message": "the repository is locked"}


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def api(database_url: str, tmp_path: Path, clock: MovableClock) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, clock=clock) as api:
        ids = [await recipient(api, name) for name in ADDRESSES]
        body = {"name": "kim", "transports": [{"transport": "file", "address": "kim@example.org"}]}
        ids.append((await api.tell("POST", "/v1/recipients", json=body))["id"])
        [route] = await api.items("/v1/routes")
        await api.tell("PATCH", f"/v1/routes/{route['id']}", json={"recipients": ids})
        await api.report(FAILURE)
        await run(api)
        yield api


async def recipient(api: Api, program: str, name: str | None = None) -> str:
    options = {KEYS[program]: "R0123456789ABCDEFGHIJKLMNOPQRSTU", "webhook_secret": SECRET}
    to = {"transport": program, "address": ADDRESSES[program], "options": options}
    made: dict[str, str] = await api.tell("POST", "/v1/recipients", json={"name": name or program, "transports": [to]})
    return made["id"]


async def run(api: Api) -> None:
    while await decide.tick(api.context):
        pass
    while await compose.tick(api.context):
        pass


async def id_of(api: Api, program: str) -> str:
    [found] = await api.items("/v1/recipients", name=program)
    return str(found["id"])


async def alert_of(api: Api) -> dict[str, Any]:
    return min(await api.items("/v1/alerts"), key=lambda one: one["id"])


def recorded(program: str, change: str, key: str, at: Any, person: str | None = JANE) -> dict[str, Any]:
    """Return a report in the form that the program publishes."""
    if program == "pagerduty":
        return {
            "event": {
                "id": "01DDN7YE2K9D8AKW7IPT9A36U3",
                "event_type": f"incident.{change}",
                "resource_type": "incident",
                "occurred_at": at.isoformat().replace("+00:00", "Z"),
                "agent": None
                if person is None
                else {
                    "id": "PLH1HKV",
                    "summary": person,
                    "type": "user_reference",
                    "html_url": "https://acme.pagerduty.com/users/PLH1HKV",
                },
                "client": {"name": "PagerDuty"},
                "data": {
                    "id": "PGR0VU2",
                    "type": "incident",
                    "html_url": "https://acme.pagerduty.com/incidents/PGR0VU2",
                    "number": 2,
                    "status": change,
                    "incident_key": key,
                    "created_at": "2026-04-09T15:16:27Z",
                    "title": "Example Ltd: files01 shares: failed",
                    "service": {"id": "PF9KMXH", "summary": "Backups", "type": "service_reference"},
                    "assignees": [{"id": "PTUXL6G", "summary": "User 123", "type": "user_reference"}],
                    "urgency": "high",
                    "resolve_reason": None,
                },
            }
        }
    return {
        "source": {"name": "", "type": "web"},
        "alert": {
            "updatedAt": int(at.timestamp() * 1000) * 1_000_000,
            "tags": ["backup"],
            "message": "files01 shares: failed",
            "username": person,
            "alertId": "052652ac-5d1c-464a-812a-7dd18bbfba8c",
            "source": "Tocsin",
            "alias": key,
            "tinyId": "23",
            "createdAt": int(at.timestamp() * 1000),
            "userId": "daed1180-0ce8-438b-8f8e-57e1a5920a2d",
            "entity": "",
        },
        "action": OPSGENIE_ACTIONS[change],
        "integrationId": "37c8f316-17c6-49d7-899b-9c7e540c048d",
        "integrationName": "Tocsin",
    }


def proof(program: str, body: bytes, secret: str = SECRET) -> dict[str, str]:
    if program == "opsgenie":
        return {"Authorization": f"Bearer {secret}"}
    return {"X-PagerDuty-Signature": "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


async def post(api: Api, program: str, recipient_id: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    headers = {"Content-Type": "application/json", **headers}
    return await api.client.post(f"/v1/acknowledgements/{program}/{recipient_id}", content=body, headers=headers)


async def report(api: Api, program: str, change: str, **more: Any) -> list[str]:
    """Report a change there as the program does, and return what changed here."""
    alert = await alert_of(api)
    document = recorded(program, change, more.pop("key", alert["id"]), more.pop("at", api.context.clock()), **more)
    body = json.dumps(document).encode()
    answer = await post(api, program, await id_of(api, program), body, proof(program, body))
    assert answer.status_code == 202, answer.text
    changed: list[str] = answer.json()["changed"]
    return changed


async def subjects_sent(api: Api, transport: str) -> list[str]:
    """Return the subjects of the messages that say who acknowledged it."""
    await run(api)
    found = await api.items("/v1/messages")
    return [one["subject"] for one in found if one["transport"] == transport and "ACKNOWLEDGED" in one["subject"]]


@pytest.mark.parametrize("program", ADDRESSES)
async def test_who_acknowledges_there_has_the_alert_here_and_the_others_learn_it_once(
    api: Api, clock: MovableClock, program: str
):
    alert = await alert_of(api)
    assert await report(api, program, "acknowledged") == [alert["id"]]
    assert (await alert_of(api))["acknowledged_by"] == f"{JANE} in {WORDS[program]}"
    clock.ahead += timedelta(seconds=1)
    assert await report(api, program, "acknowledged", person="Somebody Else") == []
    other = next(one for one in ADDRESSES if one != program)
    assert len(await subjects_sent(api, "file")) == len(await subjects_sent(api, other)) == 1
    assert await subjects_sent(api, program) == []
    clock.ahead += timedelta(seconds=1)
    assert await report(api, program, "unacknowledged") == [alert["id"]]
    assert (await alert_of(api))["acknowledged_by"] is None
    clock.ahead += timedelta(seconds=1)
    assert await report(api, program, "acknowledged") == [alert["id"]]
    assert len(await subjects_sent(api, "file")) == 1
    audit = [one for one in await api.items("/v1/audit") if "acknowledge" in one["action"]]
    assert {one["who"] for one in audit} == {f"{JANE} in {WORDS[program]}"}


@pytest.mark.parametrize("program", ADDRESSES)
async def test_what_is_resolved_there_is_only_acknowledged_here(api: Api, program: str):
    alert = await alert_of(api)
    assert await report(api, program, "resolved") == [alert["id"]]
    found = await alert_of(api)
    assert found["closed_at"] is None
    assert found["acknowledged_by"] == f"{JANE} in {WORDS[program]} (resolved there)"
    await api.report(FAILURE | {"outcome": "success"})
    await run(api)
    assert (await alert_of(api))["closed_at"] is not None
    assert await report(api, program, "acknowledged") == []


@pytest.mark.parametrize("program", ADDRESSES)
async def test_an_acknowledgement_made_here_is_not_taken_back_there(api: Api, program: str):
    alert = await alert_of(api)
    await api.tell("POST", f"/v1/alerts/{alert['id']}:acknowledge", json={"name": "Kim"})
    assert await report(api, program, "acknowledged") == []
    assert await report(api, program, "unacknowledged") == []
    assert (await alert_of(api))["acknowledged_by"] == "Kim"


@pytest.mark.parametrize("program", ADDRESSES)
async def test_a_report_that_is_sent_again_or_late_changes_nothing(api: Api, clock: MovableClock, program: str):
    first = api.context.clock()
    await report(api, program, "acknowledged", at=first)
    clock.ahead += timedelta(minutes=5)
    await report(api, program, "unacknowledged")
    for at in (first, first + timedelta(minutes=1), first - timedelta(days=2), first + timedelta(days=2)):
        assert await report(api, program, "acknowledged", at=at) == []
    assert (await alert_of(api))["acknowledged_at"] is None
    clock.ahead += timedelta(days=3)
    assert await report(api, program, "acknowledged", at=first) == []


@pytest.mark.parametrize("program", ADDRESSES)
async def test_changes_with_one_time_count_in_the_order_in_which_they_come_and_once(api: Api, program: str):
    at, alert = api.context.clock(), await alert_of(api)
    assert await report(api, program, "acknowledged", at=at) == [alert["id"]]
    assert await report(api, program, "acknowledged", at=at) == []
    assert await report(api, program, "unacknowledged", at=at) == [alert["id"]]
    assert await report(api, program, "acknowledged", at=at) == [], "sent again"
    assert (await alert_of(api))["acknowledged_by"] is None
    assert await report(api, program, "resolved", at=at) == [alert["id"]]
    later = at + timedelta(seconds=1)
    assert await report(api, program, "unacknowledged", at=later) == [alert["id"]]
    assert await report(api, program, "acknowledged", at=later) == [alert["id"]]
    assert await report(api, program, "resolved", at=at) == []


@pytest.mark.parametrize("program", ADDRESSES)
async def test_a_report_about_something_else_is_accepted_and_does_nothing(api: Api, program: str):
    for key in ("alr_" + "0" * 28, "web-01 is down", "", "x" * 5000, "alr_\x00", "\ud800"):
        assert await report(api, program, "acknowledged", key=key) == []
    recipient_id = await id_of(api, program)
    for document in (
        {},
        [],
        None,
        5,
        "x",
        {"event": {"event_type": "pagey.ping"}},
        {"event": []},
        {"alert": 3, "action": {}},
    ):
        body = json.dumps(document).encode()
        answer = await post(api, program, recipient_id, body, proof(program, body))
        assert (answer.status_code, answer.json()) == (202, {"changed": []})
    for body in (b"", b"{", b"\xff\xfe", b"[" * 100_000):
        assert (await post(api, program, recipient_id, body, proof(program, body))).status_code == 400
    assert (await alert_of(api))["acknowledged_at"] is None


@pytest.mark.parametrize("program", ADDRESSES)
async def test_a_recipient_changes_only_alerts_that_it_was_notified_of(api: Api, program: str):
    other = await recipient(api, program, "of another customer")
    body = json.dumps(recorded(program, "acknowledged", (await alert_of(api))["id"], api.context.clock())).encode()
    answer = await post(api, program, other, body, proof(program, body))
    assert (answer.status_code, answer.json()) == (202, {"changed": []})
    assert (await alert_of(api))["acknowledged_at"] is None


async def test_no_wrong_signature_or_secret_gets_in(api: Api):
    alert = await alert_of(api)
    for program in ADDRESSES:
        body = json.dumps(recorded(program, "acknowledged", alert["id"], api.context.clock())).encode()
        own, right = await id_of(api, program), proof(program, body)
        [name] = right
        value = right[name]
        signature = value.rpartition("=" if program == "pagerduty" else " ")[2]
        wrong = ["", "v1=", "Bearer", "Bearer ", signature, value[:-1], value + "0", value.upper(), f"v0={signature}"]
        wrong += [
            f"Basic {signature}",
            "v1=" + "0" * 64,
            ",".join(["v1=" + "0" * 64] * 50 + [value]),
            "v1=é",
            "Bearer set",
        ]
        wrong += list(proof(program, body, SECRET[:-1]).values()) + list(
            proof(program, body + b" ", "other" * 5).values()
        )
        for one in wrong:
            answer = await post(api, program, own, body, {name: one.encode()})  # type: ignore[dict-item]
            assert answer.status_code == 401, (program, one)
            assert answer.json()["code"] == "wrong_signature"
        assert (await post(api, program, own, body, {})).status_code == 401
        other = next(one for one in ADDRESSES if one != program)
        for recipient_id in (await id_of(api, other), await id_of(api, "kim"), "rcp_" + "0" * 28, "x"):
            assert (await post(api, program, recipient_id, body, right)).status_code == 401
        assert (await post(api, program, "%00", body, right)).status_code == 422
        if program == "pagerduty":
            assert (await post(api, program, own, body.replace(b"Jane", b"Judy"), right)).status_code == 401
    assert (await alert_of(api))["acknowledged_at"] is None


async def test_one_of_two_signatures_is_enough_while_a_secret_is_exchanged(api: Api):
    alert = await alert_of(api)
    body = json.dumps(recorded("pagerduty", "acknowledged", alert["id"], api.context.clock(), person=None)).encode()
    both = ", ".join([*proof("pagerduty", body, "the one before it").values(), *proof("pagerduty", body).values()])
    answer = await post(api, "pagerduty", await id_of(api, "pagerduty"), body, {"X-PagerDuty-Signature": both})
    assert answer.json() == {"changed": [alert["id"]]}
    assert (await alert_of(api))["acknowledged_by"] == "somebody in PagerDuty"


@pytest.mark.parametrize(
    ("person", "shown"), [("<b>J\u202e\x00\n  D</b>", "<b>J D</b>"), ("x" * 500, "x" * 100), ("  ", "somebody")]
)
async def test_a_name_there_is_cleaned(api: Api, person: str, shown: str):
    await report(api, "opsgenie", "acknowledged", person=person)
    assert (await alert_of(api))["acknowledged_by"] == f"{shown} in Opsgenie"


async def test_the_secret_is_stored_encrypted_and_never_returned_and_must_be_hard_to_guess(api: Api):
    for program in ADDRESSES:
        [found] = await api.items("/v1/recipients", name=program)
        assert found["transports"][0]["options"]["webhook_secret"] == "set"
        to = {**found["transports"][0], "options": {**found["transports"][0]["options"], "webhook_secret": "short"}}
        answer = await api.ask("PATCH", f"/v1/recipients/{found['id']}", json={"transports": [to]})
        assert answer.status_code == 422
        assert "at least 16" in answer.text
    assert SECRET not in json.dumps(await api.items("/v1/audit"))
    async with api.context.database.read() as tx:
        rows = (await tx.connection.execute(select(recipients.c.transports))).scalars().all()
    assert SECRET not in json.dumps(rows)


@pytest.mark.parametrize("program", ADDRESSES)
async def test_an_acknowledgement_that_is_taken_back_there_lets_repeats_go_on(
    api: Api, clock: MovableClock, program: str
):
    """PagerDuty takes an acknowledgement back by itself after a time: the alert is open, and nobody has it."""
    [route] = await api.items("/v1/routes")
    await api.tell("PATCH", f"/v1/routes/{route['id']}", json={"repeat_every_s": 3600})
    await api.report(FAILURE | {"job": "second"})
    await run(api)
    clock.ahead += timedelta(minutes=10)  # they wait for others of their group
    await run(api)
    alert = max(await api.items("/v1/alerts"), key=lambda one: one["id"])
    assert await report(api, program, "acknowledged", key=alert["id"]) == [alert["id"]]
    clock.ahead += timedelta(hours=2)
    await run(api)
    assert await repeats_of(api, alert["id"]) == 0
    await report(api, program, "unacknowledged", key=alert["id"])
    await run(api)
    assert await repeats_of(api, alert["id"]) == 3, "one for each recipient of the route"
    clock.ahead += timedelta(hours=1)
    await run(api)
    assert await repeats_of(api, alert["id"]) == 6


async def repeats_of(api: Api, alert_id: str) -> int:
    return len([one for one in await api.items("/v1/notices", alert_id=alert_id) if one["what"] == "repeated"])
