"""Other ways in which borgmatic reports: its log to Loki, an event to PagerDuty, a message to Pushover."""

import gzip
import json
from datetime import UTC, datetime

import pytest

from app.intake.dialects import apprise, loki, ntfy, pagerduty, pushover
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NS = 1_795_393_977_000_000_000


def pushed(*lines: str, job: str | None = None) -> list[dict]:
    values = [[str(NS + 10**9 * second), line] for second, line in enumerate(lines)]
    stream = {"stream": {"app": "borgmatic", "config": "c.yaml", "hostname": "nas01"}, "values": values}
    return [dict(e) for e in loki.read(ToolRequest(body=json.dumps({"streams": [stream]}).encode(), job=job))]


def test_a_log_with_start_and_end_is_one_run():
    start, end = pushed("Started backup", "Creating archive", "Finished backup")
    assert (start["phase"], end["outcome"]) == ("started", "success")
    assert start["run"] == end["run"]
    assert (end["agent"], end["job"]) == ("nas01", "c.yaml")
    assert end["log"] == "Started backup\nCreating archive\nFinished backup"
    assert start["occurred_at"] < end["occurred_at"]


def test_a_log_may_contain_only_an_end_which_may_be_a_failure():
    (end,) = pushed("repository is locked", "Failed backup", job="daily")
    assert (end["outcome"], end["job"], "run" in end) == ("failure", "daily", False)


def test_a_log_with_an_unreadable_file_is_a_warning():
    *_, end = pushed("Started backup", "/srv/x: open: [Errno 13] Permission denied: 'x'", "Finished backup")
    assert end["outcome"] == "warning"


def test_lines_without_start_or_end_are_only_a_log():
    (event,) = pushed("Creating archive")
    assert ("outcome" not in event, "phase" not in event, event["log"]) == (True, True, "Creating archive")


def test_a_push_that_is_not_json_is_not_understood():
    with pytest.raises(NotUnderstood):
        loki.read(ToolRequest(body=b"\x0a\x1fsnappy"))


@pytest.mark.parametrize(
    ("action", "severity", "outcome"),
    [("trigger", "critical", "failure"), ("trigger", "error", "failure"), ("trigger", "warning", "warning"),
     ("trigger", "info", "failure"), ("trigger", "?", "failure"), ("resolve", "error", "success")],
)  # fmt: skip
def test_a_trigger_has_the_outcome_of_its_severity(action: str, severity: str, outcome: str | None):
    payload = {"summary": "backup failed", "severity": severity, "source": "nas01", "component": "borgmatic"}
    call = {"event_action": action, "payload": {**payload, "custom_details": {"logs": "disk full"}}}
    (event,) = pagerduty.read(ToolRequest(body=json.dumps(call).encode()))
    assert (event.get("outcome"), event["agent"], event["job"]) == (outcome, "nas01", "borgmatic")
    assert (event["message"], event["log"]) == ("backup failed", "disk full")


def test_a_trigger_of_severity_info_is_a_plain_message_unless_its_words_report_trouble():
    call = {"event_action": "trigger", "payload": {"summary": "a certificate was renewed", "severity": "info"}}
    (event,) = pagerduty.read(ToolRequest(body=json.dumps(call).encode()))
    assert "outcome" not in event


def test_an_acknowledgement_makes_no_event():
    assert pagerduty.read(ToolRequest(body=b'{"event_action": "acknowledge"}')) == []


@pytest.mark.parametrize(
    ("form", "phase", "outcome", "severity"),
    [
        ("title=Backup+started&message=Backup+%3Cb%3EStarted%3C%2Fb%3E", "started", None, None),
        ("title=Backup+succeeded&message=x", "finished", "success", None),
        ("title=Backup+finished&message=x", "finished", "unclear", None),
        ("title=Backup+failed&message=x", "finished", "failure", None),
        ("message=restore+point+aborted", "finished", "failure", None),
        ("message=hello&priority=2", "finished", "failure", "critical"),
        ("message=hello", "finished", "unclear", None),
        ('{"message": "Backup failed"}', "finished", "failure", None),
        ("disk error", "finished", "failure", None),
    ],
)
def test_the_title_of_a_message_names_the_outcome(form: str, phase, outcome, severity):
    (event,) = pushover.read(ToolRequest(body=form.encode(), job="daily"))
    assert (event.get("phase"), event.get("outcome"), event.get("severity")) == (phase, outcome, severity)


@pytest.mark.parametrize("body", [b"", b"title=&message=+", gzip.compress(b"Backup failed: disk full", mtime=0)[:-9]])
def test_an_empty_message_and_one_that_does_not_decompress_are_not_understood(body: bytes):
    with pytest.raises(NotUnderstood):
        pushover.read(ToolRequest(body=body, job="daily"))
    for dialect in (apprise.read, ntfy.read):
        with pytest.raises(NotUnderstood):
            dialect(ToolRequest(body=body if body.startswith(b"\x1f") else b"", job="daily"))
