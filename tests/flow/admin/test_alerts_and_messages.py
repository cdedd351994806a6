"""What administrators do after a failure: acknowledge and close alerts, read messages and retry them, send summaries on demand."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app import worker
from app.compose import tick as compose
from app.compose.link_tokens import mail_without_tokens
from app.decide import tick as decide
from app.deliver.failover import move_on
from app.domain.message import MessageState
from app.store import outbox
from tests.support.api import Api, serving

FAILED = {"agent": "sql01", "job": "nightly", "outcome": "failure", "message": "disk full", "log": "line 1\nline 2"}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


@pytest.fixture
async def working(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, work=worker.run) as api:
        yield api


async def fail(api: Api, key: str = "first") -> dict[str, Any]:
    await api.report({**FAILED, "key": key, "occurred_at": datetime.now(UTC).isoformat()})
    await decide.tick(api.context)
    [alert] = await api.items("/v1/alerts", state="open")
    return alert


async def message_of(api: Api) -> dict[str, Any]:
    await fail(api)
    await compose.tick(api.context)
    [message] = await api.items("/v1/messages")
    return message


async def eventually(look: Any) -> Any:
    for _ in range(200):
        found = await look()
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it never came")


async def test_an_alert_keeps_its_first_acknowledgement(api: Api) -> None:
    alert = await fail(api)
    path = f"/v1/alerts/{alert['id']}"
    taken = await api.tell("POST", f"{path}:acknowledge", json={"name": "Ann", "comment": "new disk is on its way"})
    assert taken["acknowledged_by"] == "Ann (new disk is on its way)"
    again = await api.tell("POST", f"{path}:acknowledge")
    assert again == taken
    assert [one["id"] for one in await api.items("/v1/alerts", state="acknowledged")] == [alert["id"]]
    [entry] = await api.items("/v1/audit", action="acknowledge")
    assert entry["thing_id"] == alert["id"]


async def test_a_closed_alert_sends_no_more_notices_and_a_later_failure_opens_a_new_one(api: Api) -> None:
    alert = await fail(api)
    path = f"/v1/alerts/{alert['id']}"
    closed = await api.tell("POST", f"{path}:close", json={"reason": "host retired"})
    assert closed["closed_reason"] == "closed by TOCSIN_ADMIN_KEY: host retired"
    [notice] = await api.items("/v1/notices", alert_id=alert["id"])
    assert (notice["state"], notice["reason"], notice["repeat_at"]) == ("suppressed", closed["closed_reason"], None)
    for action, body in (("close", {"reason": "again"}), ("acknowledge", None)):
        refused = await api.ask("POST", f"{path}:{action}", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "closed")
    later = await fail(api, key="second")
    assert later["id"] != alert["id"]
    assert (await api.ask("POST", f"/v1/alerts/alr_{'0' * 28}:close", json={"reason": "x"})).status_code == 404


async def test_history_is_filtered_by_the_usual_questions(api: Api) -> None:
    alert = await fail(api)
    await api.report({"agent": "web01", "job": "www", "outcome": "success", "key": "other"})
    await decide.tick(api.context)
    assert {one["job"] for one in await api.items("/v1/events")} == {"nightly", "www"}
    assert [one["job"] for one in await api.items("/v1/events", outcome="failure")] == ["nightly"]
    assert [one["job"] for one in await api.items("/v1/events", agent_id=alert["agent_id"], state="folded")] == [
        "nightly"
    ]
    assert await api.items("/v1/events", state="set_aside") == []
    [run] = await api.items("/v1/runs", job_id=alert["job_id"], outcome="failure")
    event = await api.tell("GET", f"/v1/events/{run['event_id']}")
    assert (event["log"], event["run_id"]) == (FAILED["log"], run["id"])
    assert "log" not in (await api.items("/v1/events"))[0], "long texts are for one event alone"
    assert [one["id"] for one in await api.items("/v1/alerts", job_id=alert["job_id"], kind="failed")] == [alert["id"]]
    assert await api.items("/v1/alerts", kind="missed") == []
    assert await api.items("/v1/alerts", state="closed") == []
    assert [one["state"] for one in await api.items("/v1/jobs", state="failed")] == ["failed"]
    assert await api.items("/v1/runs", outcome="running") == []
    tomorrow, hour_ago = datetime.now(UTC) + timedelta(days=1), datetime.now(UTC) - timedelta(hours=1)
    assert await api.items("/v1/events", since=tomorrow.isoformat()) == []
    assert await api.items("/v1/events", until=hour_ago.isoformat()) == []
    assert len(await api.items("/v1/events", since=hour_ago.isoformat(), until=tomorrow.isoformat())) == 2
    assert (await api.ask("GET", "/v1/events?since=2026-01-01T00:00:00")).status_code == 422, "which zone?"
    assert (await api.ask("GET", "/v1/events?colour=red")).status_code == 422


async def test_a_message_is_shown_with_its_attempts_and_notices(working: Api, tmp_path: Path) -> None:
    await working.report({**FAILED, "occurred_at": datetime.now(UTC).isoformat()})
    [line] = await eventually(lambda: working.items("/v1/messages", state="sent"))
    message = await working.tell("GET", f"/v1/messages/{line['id']}")
    [attempt] = message["tries"]
    assert (attempt["number"], attempt["outcome"], attempt["code"]) == (1, "sent", "written")
    assert attempt["started_at"] <= attempt["ended_at"]
    [notice] = message["notices"]
    assert notice["message_id"] == message["id"]
    assert (message["moved_to"], message["moved_from"]) == (None, None)
    assert "mail" not in message
    assert "lease_token" not in message
    raw = await working.ask("GET", f"/v1/messages/{line['id']}/raw")
    assert raw.headers["Content-Type"] == "message/rfc822"
    assert raw.content == mail_without_tokens((tmp_path / "mail" / attempt["text"]).read_bytes())
    assert email.message_from_bytes(raw.content, policy=email.policy.default)["Message-ID"] == message["message_id"]


async def test_a_message_moved_to_another_transport_shows_the_same_notices(api: Api) -> None:
    line = await message_of(api)
    ways = [
        {"transport": "file", "address": "admin@example.org"},
        {"transport": "file", "address": "admin@home.example"},
    ]
    await api.tell("PATCH", f"/v1/recipients/{line['recipient_id']}", json={"transports": ways})
    async with api.context.database.write() as tx:
        [held] = (await outbox.lock(tx, [line["id"]])).values()
        moved = await move_on(tx, held.message, api.context.clock(), "550 no such user")
        assert moved is not None
        await outbox.save(tx, [moved])
    first = await api.tell("GET", f"/v1/messages/{line['id']}")
    second = await api.tell("GET", f"/v1/messages/{first['moved_to']}")
    assert second["moved_from"] == first["id"]
    assert [one["what"] for one in second["notices"]] == ["opened"]
    assert second["notices"] == first["notices"]


async def test_only_a_dead_message_is_tried_again(api: Api) -> None:
    line = await message_of(api)
    path = f"/v1/messages/{line['id']}"
    refused = await api.ask("POST", f"{path}:retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal_move")
    async with api.context.database.write() as tx:
        [held] = (await outbox.lock(tx, [line["id"]])).values()
        await outbox.save(
            tx, [replace(held.message, state=MessageState.DEAD, why="550 no such user", settled_at=api.context.clock())]
        )
    api.context.wakeups.messages.clear()
    retried = await api.tell("POST", f"{path}:retry")
    assert (retried["state"], retried["settled_at"]) == ("queued", None)
    assert retried["why"] == "retried by TOCSIN_ADMIN_KEY"
    due, give_up = (datetime.fromisoformat(retried[name]) for name in ("due_at", "give_up_at"))
    assert give_up - due == timedelta(hours=72)
    assert api.context.wakeups.messages.is_set()
    [entry] = await api.items("/v1/audit", action="retry")
    assert entry["change"] == {"was": "550 no such user"}


async def test_a_summary_is_previewed_and_sent_on_demand(working: Api) -> None:
    await working.report({**FAILED, "occurred_at": datetime.now(UTC).isoformat()})
    await eventually(lambda: working.items("/v1/jobs"))
    [schedule] = await working.items("/v1/summary-schedules")
    path = f"/v1/summary-schedules/{schedule['id']}"
    for form, media_type in (("html", "text/html"), ("text", "text/plain"), ("json", "application/json")):
        shown = await working.ask("GET", f"{path}:preview", params={"form": form})
        assert shown.headers["Content-Type"].startswith(media_type)
        assert "nightly" in shown.text
    made = await working.tell("POST", f"{path}:send-now")
    [notice] = await working.items("/v1/notices", summary_id=made["summary_id"])
    assert "asked for by an administrator" in notice["reason"]

    async def sent() -> Any:
        return [one for one in await working.items("/v1/messages", state="sent") if not one["is_alert"]]

    [message] = await eventually(sent)
    assert "(no. 1)" in message["subject"]
    after = await working.tell("GET", path)
    assert (after["last_number"], after["next_at"]) == (1, schedule["next_at"]), "the regular one comes all the same"
    assert (await working.ask("POST", f"/v1/summary-schedules/sch_{'0' * 28}:send-now")).status_code == 404


async def test_a_transport_test_reports_its_result_at_once(api: Api, tmp_path: Path) -> None:
    before = {
        one["transport"]: one
        for one in await api.tell("GET", "/v1/transports") and (await api.tell("GET", "/v1/transports"))["items"]
    }
    assert (before["file"]["is_configured"], before["file"]["last_test"]) == (True, None)
    tested = await api.tell("POST", "/v1/transports/file:test", json={"address": "ann@example.org"})
    assert tested["outcome"] == "sent"
    assert b"ann@example.org" in (tmp_path / "mail" / tested["text"]).read_bytes()
    again = await api.tell("POST", "/v1/transports/file:test", json={"address": "ann@example.org"})
    [shown] = [one for one in (await api.tell("GET", "/v1/transports"))["items"] if one["transport"] == "file"]
    assert shown["last_test"]["text"] == again["text"]
    refused = await api.ask("POST", "/v1/transports/smtp:test", json={"address": "ann@example.org"})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_configured")
    wrong = (await api.ask("POST", "/v1/transports/file:test", json={"address": "ann"})).json()
    assert (wrong["status"], wrong["field"], wrong["detail"]) == (422, "address", "address is not a mail address")
    private = await api.tell("POST", "/v1/transports/webhook:test", json={"address": "https://127.0.0.1:1/"})
    assert private["outcome"] == "permanent", "private addresses are refused unless allowed"


async def test_messages_that_wait_for_a_transport_are_counted(api: Api) -> None:
    await message_of(api)
    [shown] = [one for one in (await api.tell("GET", "/v1/transports"))["items"] if one["transport"] == "file"]
    assert shown["waiting"] == 1
    assert shown["oldest_due_at"] is not None
