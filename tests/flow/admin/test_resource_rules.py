"""The rules of each managed resource that an administrator meets when editing it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.decide import tick as decide
from app.deliver.transports.webhook import signing_secret
from app.store.alerts import lock_alert
from tests.support.api import ADMIN_KEY, Api, serving

MATCHERS = [{"field": "job", "test": "like", "value": "*"}]


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def first(api: Api, path: str) -> Any:
    return (await api.tell("GET", path))["items"][0]


async def refusal(api: Api, method: str, path: str, body: Any) -> tuple[int, str, str | None]:
    answer = await api.ask(method, path, json=body)
    problem = answer.json()
    error = problem.get("errors", [problem])[0]
    return answer.status_code, error["code"], problem.get("field")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def a_job(api: Api) -> dict[str, Any]:
    customer = (await first(api, "/v1/customers"))["id"]
    agent = await api.tell("POST", "/v1/agents", json={"customer_id": customer, "name": "sql01"})
    return await api.tell("POST", "/v1/jobs", json={"agent_id": agent["id"], "name": "nightly"})  # type: ignore[no-any-return]


async def test_an_expectation_begins_now_and_can_be_removed(api: Api) -> None:
    job = await a_job(api)
    assert (job["expectation"], job["next_due_at"], job["state"]) == (None, None, "new")
    path = f"/v1/jobs/{job['id']}"
    nightly = {"cron": "0 2 * * *", "time_zone": "Europe/Berlin", "grace_s": 1800}
    job = await api.tell("PATCH", path, json={"expectation": nightly})
    due, overdue = moment(job["next_due_at"]), moment(job["overdue_at"])
    assert datetime.now(UTC) < due < datetime.now(UTC) + timedelta(hours=25)
    assert due.hour in (0, 1), "02:00 in Berlin"
    assert overdue - due == timedelta(minutes=30)
    job = await api.tell("PATCH", path, json={"expectation": {"period_s": 7200, "grace_s": 0}})
    assert moment(job["next_due_at"]) - datetime.now(UTC) > timedelta(minutes=119)
    job = await api.tell("PATCH", path, json={"expectation": None})
    assert (job["expectation"], job["next_due_at"], job["overdue_at"]) == (None, None, None)
    assert [one["id"] for one in await api.items("/v1/jobs", expected=False)] == [job["id"]]
    assert await api.items("/v1/jobs", expected=True) == []


@pytest.mark.parametrize(
    ("expectation", "code"),
    [
        ({"cron": "99 2 * * *"}, "bad_cron"),
        ({"cron": "0 0 30 2 *"}, "bad_cron"),
        ({"cron": "0 2 * * *", "period_s": 600}, "bad_value"),
        ({}, "bad_value"),
        ({"period_s": 1}, "out_of_range"),
        ({"cron": "0 2 * * *", "time_zone": "Mars/Olympus"}, "bad_value"),
        ({"cron": "0 2 * * *", "time_zone": "Europe"}, "bad_value"),
        ({"cron": "0 2 * * *", "grace_s": -1}, "out_of_range"),
    ],
)
async def test_an_invalid_expectation_is_refused(api: Api, expectation: dict[str, Any], code: str) -> None:
    job = await a_job(api)
    status, found_code, _ = await refusal(api, "PATCH", f"/v1/jobs/{job['id']}", {"expectation": expectation})
    assert (status, found_code) == (422, code)


async def test_an_agents_own_silence_limit_counts_from_its_last_event(api: Api) -> None:
    await api.report({"agent": "sql01", "job": "nightly", "outcome": "success"})
    agent = await first(api, "/v1/agents")
    agent = await api.tell("PATCH", f"/v1/agents/{agent['id']}", json={"silent_after_s": 3600})
    heard = moment(agent["last_heard_at"]) if agent["last_heard_at"] else datetime.now(UTC)
    assert abs(moment(agent["silent_at"]) - heard - timedelta(hours=1)) < timedelta(seconds=30)
    agent = await api.tell("PATCH", f"/v1/agents/{agent['id']}", json={"silent_after_s": None})
    assert agent["silent_at"] is None, "left to the rules; nothing that it sent is decided on yet"


@pytest.mark.parametrize(
    ("transport", "address", "fits"),
    [
        ("smtp", "ann@example.org", True),
        ("file", "ann@example.org", True),
        ("smtp", "ann", False),
        ("smtp", "a@b\r\nBcc: all@example.org", False),
        ("webhook", "https://hooks.example.org/a?b=c", True),
        ("webhook", "http://hooks.example.org/", False),
        ("webhook", "http://10.1.2.3:8080/hook", True),
        ("webhook", "https://user:password@example.org/", False),
        ("webhook", "https://[::1", False),
        ("webhook", "ann@example.org", False),
        ("pigeon", "ann@example.org", False),
    ],
)
async def test_an_address_must_fit_its_transport(api: Api, transport: str, address: str, *, fits: bool) -> None:
    body = {"name": "on call", "transports": [{"transport": transport, "address": address}]}
    answer = await api.ask("POST", "/v1/recipients", json=body)
    assert answer.status_code == (201 if fits else 422), answer.text


async def test_a_recipient_that_is_edited_no_longer_follows_the_settings(api: Api) -> None:
    admin = await first(api, "/v1/recipients")
    assert admin["follows_settings"] is True
    renamed = await api.tell("PATCH", f"/v1/recipients/{admin['id']}", json={"name": "me"})
    assert renamed["follows_settings"] is True
    mail = [{"transport": "file", "address": "me@example.org"}]
    moved = await api.tell("PATCH", f"/v1/recipients/{admin['id']}", json={"transports": mail})
    assert moved["follows_settings"] is False


async def test_a_webhooks_secret_is_for_admins(api: Api) -> None:
    admin = await first(api, "/v1/recipients")
    path = f"/v1/recipients/{admin['id']}/webhook-secret"
    secret = (await api.tell("GET", path))["secret"]
    assert secret == signing_secret(api.context.secret.derive("webhook"), admin["id"])
    viewer = (await api.tell("POST", "/v1/keys", json={"kind": "viewer", "name": "board"}))["key"]
    assert (await api.ask("GET", path, key=viewer)).status_code == 403


async def test_a_route_needs_a_recipient_that_exists(api: Api) -> None:
    nobody = "rcp_" + "0" * 28
    refused = await refusal(api, "POST", "/v1/routes", {"name": "x", "recipients": [nobody]})
    assert refused == (422, "unknown_recipient", "recipients")
    route = await first(api, "/v1/routes")
    assert (await refusal(api, "PATCH", f"/v1/routes/{route['id']}", {"recipients": [nobody]}))[
        1
    ] == "unknown_recipient"
    assert (await refusal(api, "PATCH", f"/v1/routes/{route['id']}", {"recipients": []}))[0] == 422
    assert (await refusal(api, "PATCH", f"/v1/routes/{route['id']}", {"customer_id": "cus_" + "0" * 28}))[
        1
    ] == "unknown_customer"
    assert (await refusal(api, "PATCH", f"/v1/routes/{route['id']}", {"group_by": ["mood"]}))[0] == 422


async def test_only_a_silence_rule_has_a_silence_limit(api: Api) -> None:
    rule = {"name": "quiet", "kind": "failed", "silent_after_s": 3600}
    assert (await api.ask("POST", "/v1/rules", json=rule)).status_code == 422
    made = await api.tell("POST", "/v1/rules", json=rule | {"kind": "agent_silent"})
    changed = await api.ask("PATCH", f"/v1/rules/{made['id']}", json={"kind": "missed"})
    assert changed.status_code == 422, "the whole is checked as it would become"


@pytest.mark.parametrize(
    ("starts", "ends", "status"),
    [
        (None, 1, 201),
        (1, 2, 201),
        (None, -1, 422),
        (2, 1, 422),
        (1, 1, 422),
        (None, 366 * 24 + 1, 422),
        (None, 365 * 24, 201),
    ],
)
async def test_a_silence_ends_within_a_year(api: Api, starts: float | None, ends: float, status: int) -> None:
    now = datetime.now(UTC)
    body: dict[str, Any] = {"matchers": MATCHERS, "comment": "x", "ends_at": (now + timedelta(hours=ends)).isoformat()}
    if starts is not None:
        body["starts_at"] = (now + timedelta(hours=starts)).isoformat()
    answer = await api.ask("POST", "/v1/silences", json=body)
    assert answer.status_code == status, answer.text


async def test_a_silence_that_ended_before_it_was_made_is_refused_by_the_rule_that_it_breaks(api: Api) -> None:
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    body = {"matchers": MATCHERS, "comment": "x", "ends_at": hour_ago}
    wrong = (await api.ask("POST", "/v1/silences", json=body)).json()
    assert (wrong["status"], wrong["field"], wrong["detail"]) == (422, "ends_at", "must be in the future")


async def test_a_deleted_silence_has_ended_and_stays(api: Api) -> None:
    end = (datetime.now(UTC) + timedelta(hours=5)).isoformat()
    made = await api.tell("POST", "/v1/silences", json={"matchers": MATCHERS, "comment": "x", "ends_at": end})
    assert made["created_by"] == "TOCSIN_ADMIN_KEY"
    path = f"/v1/silences/{made['id']}"
    assert [one["id"] for one in await api.items("/v1/silences", state="current")] == [made["id"]]
    for _ in range(2):
        assert (await api.ask("DELETE", path)).status_code == 204
    ended = await api.tell("GET", path)
    assert moment(ended["ends_at"]) <= datetime.now(UTC)
    assert await api.items("/v1/silences", state="current") == []
    assert [one["id"] for one in await api.items("/v1/silences", state="ended")] == [made["id"]]
    assert (await refusal(api, "PATCH", path, {"ends_at": end}))[:2] == (409, "ended")
    no_matcher = {"matchers": [], "comment": "x", "ends_at": end}
    assert (await refusal(api, "POST", "/v1/silences", no_matcher))[0] == 422


async def test_a_wrong_outcome_of_a_mail_rule_is_answered_with_the_words_that_are_allowed(api: Api) -> None:
    body = {"name": "odd", "subject": "*failed*", "outcome": "missed"}
    answer = await api.ask("POST", "/v1/mail-rules", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "outcome: Input should be 'success', 'warning', 'failure' or 'cancelled'"


async def test_a_summary_schedule_shows_its_next_time(api: Api) -> None:
    schedule = await first(api, "/v1/summary-schedules")
    path = f"/v1/summary-schedules/{schedule['id']}"
    moved = await api.tell("PATCH", path, json={"every": "week", "weekday": 3, "hour": 6, "time_zone": "Asia/Tokyo"})
    due = moment(moved["next_at"])
    assert (due.isoweekday(), due.hour) == (2, 21), "Wednesday 06:00 in Tokyo"
    assert due > datetime.now(UTC)
    assert (await api.tell("PATCH", path, json={"name": "weekly"}))["next_at"] == moved["next_at"]
    assert (await api.tell("PATCH", path, json={"enabled": False}))["next_at"] is None
    assert (await refusal(api, "PATCH", path, {"month_day": 29}))[0] == 422


async def test_a_job_is_deleted_with_its_history_and_its_alert_closes(api: Api) -> None:
    await api.report({"agent": "sql01", "job": "nightly", "outcome": "failure", "message": "disk full"})
    await decide.tick(api.context)
    [job], [alert] = await api.items("/v1/jobs"), await api.items("/v1/alerts", state="open")
    assert (await api.ask("DELETE", f"/v1/jobs/{job['id']}")).status_code == 204
    async with api.context.database.write() as tx:
        closed = await lock_alert(tx, alert["id"])
    assert closed is not None
    assert closed.closed_reason == "closed: the job was deleted by TOCSIN_ADMIN_KEY"
    assert await api.items("/v1/runs") == []
    assert {one["state"] for one in await api.items("/v1/notices")} == {"suppressed"}
    agent = await first(api, "/v1/agents")
    assert (await api.ask("DELETE", f"/v1/agents/{agent['id']}")).status_code == 204
    await api.report({"agent": "sql01", "job": "nightly", "outcome": "success"})
    assert [one["name"] for one in await api.items("/v1/agents")] == ["sql01"], "it is created again"


async def test_texts_that_a_database_cannot_store_are_never_stored(api: Api) -> None:
    for name in ("\x00", "\n", "\u200b", "", " ", "x" * 201):
        assert (await api.ask("POST", "/v1/customers", json={"name": name})).status_code == 422, repr(name)
    raw = b'{"name": "\\ud800"}'
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}
    answer = await api.client.post("/v1/customers", content=raw, headers=headers)
    assert (answer.status_code, answer.json()["name"]) == (201, "\N{REPLACEMENT CHARACTER}")
    for path in ("/v1/customers?name=%00", "/v1/routes/%00", "/v1/audit?thing_id=%00", "/v1/messages?transport=%00"):
        assert (await api.ask("GET", path)).status_code == 422, path
