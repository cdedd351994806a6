"""From an unclear text to one that is known: what is mailed, what an administrator answers, and what the next text means."""

import asyncio
import email
import email.policy
import json
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest

from app import worker
from app.decide import tick as decide
from tests.support.api import ADMIN_KEY, ENROL_KEY, Api, serving

TEXT = "vault7 rotated {} volumes, {} files"
BODY = "Slot {} holds the set of 2026-11-{:02}.\r\n"


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, mail_in_port=0) as api:
        yield api


@pytest.fixture
async def working(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, work=worker.run, mail_in_port=0) as api:
        yield api


async def send(api: Api, number: int, text: str = TEXT, body: str = BODY) -> None:
    subject = text.format(number, number + 1)
    mail = f"From: vault7@example.net\r\nSubject: {subject}\r\nMessage-ID: <{number}{hash(text + body)}@x>\r\n\r\n{body.format(number, number)}"
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=api.app.state.mail_in_port) as client:
        await client.sendmail("vault7@example.net", f"{ENROL_KEY}@tocsin", mail.encode())


async def received(api: Api, number: int, **more: Any) -> dict[str, Any]:
    """Send a text, decide on it, and return its event."""
    await send(api, number, **more)
    await decide.tick(api.context)
    return (await api.items("/v1/events"))[0]


async def teach(api: Api, event: dict[str, Any], outcome: str, **more: Any) -> dict[str, Any]:
    lesson = await api.tell("POST", f"/v1/events/{event['id']}:teach", json={"outcome": outcome, **more})
    await decide.tick(api.context)
    return dict(lesson)


async def alerts(api: Api, state: str = "open") -> list[tuple[str, str | None]]:
    return [(one["kind"], one["closed_reason"]) for one in await api.items("/v1/alerts", state=state)]


async def mailed(folder: Path, count: int) -> list[str]:
    """Return the text parts of the mails that were sent, once there are `count`."""
    for _ in range(400):
        files = sorted((folder / "mail").glob("*.eml"))
        if len(files) >= count:
            found = [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]
            return [f"{one['subject']}\n\n" + one.get_body(("plain",)).get_content() for one in found]  # type: ignore[union-attr]
        await asyncio.sleep(0.05)
    raise AssertionError(f"{count} mails never came")


@pytest.mark.parametrize("outcome", ["success", "failure"])
async def test_three_texts_from_unclear_to_known(working: Api, tmp_path: Path, outcome: str) -> None:
    await send(working, 1)
    (first,) = await mailed(tmp_path, 1)
    assert first.startswith("[UNCLEAR] ")
    assert TEXT.format(1, 2) in first
    assert BODY.format(1, 1).strip() in first
    line = next(line for line in first.split("\n") if line.strip().startswith("curl") and outcome in line)
    words = shlex.split(line)
    assert "Authorization: Bearer $ADMIN_KEY" in words
    answer = await working.client.post(
        words[-1], headers={"Authorization": f"Bearer {ADMIN_KEY}"}, json=json.loads(words[words.index("-d") + 1])
    )
    assert answer.status_code == 200, answer.text
    await send(working, 22)
    for _ in range(400):
        runs = await working.items("/v1/runs", outcome=outcome)
        if len(runs) == 2:
            break
        await asyncio.sleep(0.05)
    assert len(runs) == 2, "the run that was asked about, and the next one"
    assert [job["last_outcome"] for job in await working.items("/v1/jobs")] == [outcome]
    if outcome == "failure":
        assert [kind for kind, _ in await alerts(working)] == ["failed"]
    assert await working.items("/v1/alerts", state="open", kind="unclear") == []


async def test_what_was_taught_is_a_rule_an_event_and_an_audit_entry(api: Api) -> None:
    event = await received(api, 1)
    whole = await api.tell("GET", f"/v1/events/{event['id']}")
    assert (event["outcome"], whole["extra"]["reading"]["meaning"]) == ("unclear", "unclear")
    assert [one["id"] for one in await api.items("/v1/events", outcome="unclear")] == [event["id"]]
    assert len(await api.items("/v1/alerts", kind="unclear")) == 1
    (job,) = await api.items("/v1/jobs")
    assert (job["state"], job["unclear_texts"]) == ("new", 1)
    assert (await api.tell("GET", f"/v1/jobs/{job['id']}"))["unclear_texts"] == 1
    lesson = await teach(api, event, "success", name="vault7 rotates")
    rule = lesson["rule"]
    assert (rule["name"], rule["outcome"], rule["taught_from"]) == ("vault7 rotates", "success", "unclear")
    assert rule["subject"] == "vault7 rotated * volumes, * files"
    assert await alerts(api) == []
    assert await alerts(api, "closed") == [("unclear", "taught: means success")]
    newest = (await api.items("/v1/events"))[0]
    assert (newest["kind"], newest["outcome"], newest["run_id"]) == ("taught", "success", event["run_id"])
    assert [entry["action"] for entry in await api.items("/v1/audit", action="teach")] == ["teach"]
    (job,) = await api.items("/v1/jobs")
    assert (job["state"], job["last_outcome"], job["last_success_at"]) == ("ok", "success", event["occurred_at"])
    assert job["unclear_texts"] == 0


async def test_to_teach_the_same_again_changes_nothing(api: Api) -> None:
    event = await received(api, 1)
    first = await teach(api, event, "success")
    again = await teach(api, event, "success")
    assert (again["rule"], again["event_ids"], again["alert_ids"]) == (first["rule"], [], [])
    assert len(await api.items("/v1/mail-rules")) == 1
    assert len(await api.items("/v1/events", kind="taught")) == 1


async def test_another_answer_replaces_the_first(api: Api) -> None:
    event = await received(api, 1)
    await teach(api, event, "success")
    lesson = await teach(api, event, "failure")
    assert [(rule["id"], rule["outcome"]) for rule in await api.items("/v1/mail-rules")] == [
        (lesson["rule"]["id"], "failure")
    ]
    (job,) = await api.items("/v1/jobs")
    assert job["last_outcome"] == "failure"
    assert await alerts(api) == [("failed", None)]


async def test_all_texts_of_the_form_that_wait_are_answered(api: Api) -> None:
    for number in (1, 2, 33):
        event = await received(api, number)
    other = await received(api, 4, text="Something else {} {}")
    lesson = await teach(api, event, "warning")
    assert len(lesson["event_ids"]) == 3
    assert [alert["message"] for alert in await api.items("/v1/alerts", kind="unclear", state="open")] == [
        other["message"]
    ]
    assert len(await api.items("/v1/runs", outcome="warning")) == 3


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("vault7 lost {} volumes, {} files", BODY),  # another word
        ("vault7 rotated {} volumes, 0 of {} files", BODY),
        (TEXT, "Slot {} holds the set of 2026-11-{:02}.\r\nAnd it burns.\r\n"),
    ],
)
async def test_a_text_of_another_form_stays_unclear(api: Api, text: str, body: str) -> None:
    await teach(api, await received(api, 1), "success")
    event = await received(api, 5, text=text, body=body)
    assert event["outcome"] != "success"


async def test_a_taught_whole_does_not_cover_a_part(api: Api) -> None:
    text = "Sets on vault7: {} of {}"
    event = await received(api, 4, text=text.replace("{}", "5"), body="See the console.\r\n")
    await teach(api, event, "success")
    whole = await received(api, 5, text=text.replace("{}", "7"), body="See the console.\r\n")
    part = await received(api, 6, text=text, body="See the console.\r\n")
    assert (whole["outcome"], part["outcome"]) == ("success", "unclear")


async def test_a_wrong_reading_is_corrected(api: Api) -> None:
    text = "Backup failed in test {} {}"
    event = await received(api, 1, text=text, body="")
    assert await alerts(api) == [("failed", None)]
    await teach(api, event, "success")
    assert await alerts(api) == []
    assert (await received(api, 9, text=text, body=""))["outcome"] == "success"


async def test_what_cannot_be_taught_is_refused(api: Api) -> None:
    await api.report(
        {"agent": "a", "job": "j", "outcome": "success", "message": "done", "key": "1"},
        {"agent": "a", "job": "j", "outcome": "unclear", "key": "2"},
        # A rule for the form of a lone number would hold for each number, exit codes among them.
        {"agent": "a", "job": "j", "outcome": "unclear", "key": "3", "message": "7"},
    )
    await decide.tick(api.context)
    native, nothing, number = sorted(await api.items("/v1/events"), key=lambda one: str(one["key"]))
    for event, code in ((native, "not_from_words"), (nothing, "no_text"), (number, "no_text")):
        refused = await api.ask("POST", f"/v1/events/{event['id']}:teach", json={"outcome": "success"})
        assert (refused.status_code, refused.json()["code"]) == (409, code)
    absent = await api.ask("POST", f"/v1/events/evt_{'0' * 28}:teach", json={"outcome": "success"})
    assert absent.status_code == 404
    for outcome in ("unclear", "missed", "good"):
        refused = await api.ask("POST", f"/v1/events/{nothing['id']}:teach", json={"outcome": outcome})
        assert (refused.status_code, refused.json()["field"]) == (422, "outcome")
    assert (
        await api.ask("POST", f"/v1/events/{nothing['id']}:teach", key=ENROL_KEY, json={"outcome": "success"})
    ).status_code == 403


async def test_a_native_sender_that_does_not_know_can_be_taught_too(api: Api) -> None:
    await api.report({"agent": "a", "job": "j", "outcome": "unclear", "message": "7 sets rotated", "key": "1"})
    await decide.tick(api.context)
    (event,) = await api.items("/v1/events")
    await teach(api, event, "success")
    await api.report({"agent": "a", "job": "j", "outcome": "unclear", "message": "8 sets rotated", "key": "2"})
    assert (await api.items("/v1/events"))[0]["outcome"] == "success"
