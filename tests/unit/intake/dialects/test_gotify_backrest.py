"""Messages sent to Gotify by any tool, and Backrest's text from any of its hooks."""

import json
from datetime import UTC, datetime

import pytest

from app.intake.dialects import backrest, gotify
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.values import parse_bytes, parse_seconds

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TASK = "Backrest Notification\nTask: {} at 2026-11-23T02:00:00+01:00\nEvent: {}\n{}"
BACKUP = 'backup for plan "daily"'


def sent(body: dict, job: str | None = None) -> dict:
    (event,) = gotify.read(ToolRequest(body=json.dumps(body).encode(), job=job))
    return dict(event)


@pytest.mark.parametrize(
    ("title", "message", "priority", "outcome"),
    [
        ("Backup failed", "disk full", 5, "failure"),
        ("Nightly", "finished with 0 errors", 5, "success"),
        ("Backup started", "see the log", 9, None),
        ("Backup started", "02:00 started, 02:10 failed: no space", 5, "failure"),
        ("Nightly", "02:10 the backup completed successfully", 5, "success"),
        ("FAIL: nightly", "-", 1, "failure"),
        ("Nightly", "it is what it is", 9, "failure"),
        ("Nightly", "it is what it is", 5, "warning"),
        ("Nightly", "it is what it is", 3, "unclear"),
        ("Nightly", "it is what it is", "nonsense", "unclear"),
        ("", "only a text: failed", None, "failure"),
    ],
)
def test_the_words_name_the_outcome_else_the_priority(title: str, message: str, priority: object, outcome: str | None):
    event = sent({"title": title, "message": message, "priority": priority}, job="photos")
    assert (event["job"], event.get("outcome")) == ("photos", outcome)
    assert event["message"] == title or message
    assert event.get("phase") == ("finished" if outcome else "started" if "started" in title else None)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"title": "", "message": []}', b"\xff\x00", b"--x\r\n", b"[" * 100_000])
def test_a_message_without_text_is_not_understood(body: bytes):
    for kind in ("application/json", "multipart/form-data", "multipart/form-data; boundary=x"):
        with pytest.raises(NotUnderstood):
            gotify.read(ToolRequest(headers={"content-type": kind}, body=body))


@pytest.mark.parametrize(
    ("task", "event", "more", "found"),
    [
        (BACKUP, "snapshot start", "", ("daily", "backup", "started", None)),
        (BACKUP, "snapshot success", "", ("daily", "backup", "finished", "success")),
        (BACKUP, "snapshot end", "", ("daily", "backup", "finished", "success")),
        (BACKUP, "snapshot end", "Error: repository is locked", ("daily", "backup", "finished", "failure")),
        (BACKUP, "snapshot end", "Error: partial backup, 3 files", ("daily", "backup", "finished", "warning")),
        (f'"{BACKUP}"', "snapshot start", "", ("daily", "backup", "started", None)),
        (BACKUP, "snapshot skipped", "", ("daily", "backup", "finished", "success")),
        (BACKUP, "snapshot success", "Error: partial backup", ("daily", "backup", "finished", "warning")),
        (BACKUP, "snapshot warning", "", ("daily", "backup", "finished", "warning")),
        (BACKUP, "error", "Error: no space", ("daily", "backup", "finished", "failure")),
        ('prune for repo "offsite"', "prune error", "Error: locked", ("offsite", "prune", "finished", "failure")),
        ('check for repo "offsite"', "error", "Error: locked", ("offsite", "verify", "finished", "failure")),
    ],
)
def test_backrests_event_is_read_from_every_hook(task: str, event: str, more: str, found: tuple):
    text = TASK.format(task, event, more)
    bodies = [text.encode(), text.replace("\n", "\r\n").encode(), text.encode("utf-16")]
    bodies += [json.dumps({name: f"Title\n\n{text}"}).encode() for name in ("text", "content", "message")]
    events = [backrest.read(ToolRequest(body=body))[0] for body in bodies]
    events.append(gotify.read(ToolRequest(body=json.dumps({"title": "My own title", "message": text}).encode()))[0])
    results = {(one.get("job"), one.get("activity"), one.get("phase"), one.get("outcome")) for one in events}
    assert results == {found}


@pytest.mark.parametrize(
    "body", [b"", b"Event: snapshot success", b'{"text": "hello"}', b"Task: x", b"Event:   \nTask: "]
)
def test_other_text_is_not_taken_for_backrests(body: bytes):
    with pytest.raises(NotUnderstood):
        backrest.read(ToolRequest(body=body))


@pytest.mark.parametrize(
    ("text", "amount"),
    [("12.3 GB", 12.3e9), ("456 B", 456), ("1.5 GiB", 1.5 * 2**30), ("1,204 (+3)", 1204), ("12.34GB", 12.34e9), ("0", 0),
     ("-1", None), ("x", None), ("", None), (None, None), ("1.2.3", None), ("9" * 31, 1e30 * 10 - 1)],
)  # fmt: skip
def test_sizes_are_parsed_as_tools_write_them(text: str | None, amount: float | None):
    assert parse_bytes(text) == (None if amount is None else pytest.approx(amount)) or text == "9" * 31


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1m 3s", 63), ("1m2.3s", 62.3), ("9h 12m", 33120), ("2d 1s", 172801), ("500ms", 0.5), ("00:01:03", 63),
     ("1.02:00:00.5", 93600.5), ("-00:00:05", None), ("", None), (None, None), ("soon", None)],
)  # fmt: skip
def test_durations_are_parsed_as_tools_write_them(text: str | None, seconds: float | None):
    assert parse_seconds(text) == seconds
