"""Duplicati's reports: results that only look like a success, the job's name, and the announced next run."""

import json
from datetime import UTC, datetime
from urllib.parse import quote_plus

import pytest

from app.intake.dialects import duplicati
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FORM = {"content-type": "application/x-www-form-urlencoded"}
HEAD = "Duplicati Backup report for docs (0f1e2d3c4b5a69788796, DB-1, NAS01)"


def form(text: str, parameter: str = "message", job: str | None = None) -> dict:
    body = f"{parameter}={quote_plus(text)}&chat_id=4".encode()
    (event,) = duplicati.read(ToolRequest(headers=FORM, body=body, job=job))
    return dict(event)


def posted(data: object, *, lines: object = (), exception: object = None, **extra: object) -> dict:
    results = {"machine-id": "0f1e2d3c4b5a", "backup-id": "DB-1", "machine-name": "NAS01", "backup-name": "docs"}
    body = {"Data": data, "Extra": {**results, **extra}, "LogLines": lines, "Exception": exception}
    (event,) = duplicati.read(ToolRequest(body=json.dumps(body).encode()))
    return dict(event)


@pytest.mark.parametrize(
    ("lines", "outcome", "message"),
    [
        ("ParsedResult: Success", "success", None),
        ("PartialBackup: True\nParsedResult: Success", "warning", "the backup was stopped before its end and is incomplete"),
        ("Interrupted: True\nParsedResult: Success", "warning", "the backup was stopped before its end and is incomplete"),
        ("ParsedResult: Unknown", "unclear", "Duplicati reports Unknown"),
        ("ParsedResult: Fatal", "failure", "Duplicati reports Fatal"),
        ("Failed: The source folder is missing\nDetails: System.Exception: it is", "failure", "The source folder is missing"),
        ("Failed: disk full\r\nDetails: IOException\r\n", "failure", "disk full"),
        ("Status: Error\n\nError Details:\n------\nNo space left", "failure", "No space left"),
        (
            "ParsedResult: Error\nLimitedErrors: [\n    02:00 - [Error-A.B-C]: first\n    02:01 - [Error-A.B-D]: last\n]\n",
            "failure",
            "last",
        ),
        (
            "ParsedResult: Warning\nLimitedWarnings: [\n 02:00 - [Warning-A.B-C]: denied\n]\nParsedResult: Success",
            "warning",
            "denied",
        ),
    ],
)  # fmt: skip
def test_a_text_report_has_an_outcome_and_a_reason(lines: str, outcome: str, message: str | None):
    event = form(f"{HEAD}\n\n{lines}")
    assert (event["outcome"], event.get("message")) == (outcome, message)
    assert (event["agent"], event["job"]) == ("NAS01", "docs (DB-1, 0f1e2d3c)")


@pytest.mark.parametrize(
    ("data", "exception", "outcome"),
    [
        ({"ParsedResult": "Success"}, None, "success"),
        ({"ParsedResult": "Success", "PartialBackup": True}, None, "warning"),
        ({"ParsedResult": "Success", "CompactResults": {"ParsedResult": "Error"}}, None, "success"),
        ({"ParsedResult": "Error", "CompactResults": {"ParsedResult": "Success"}}, None, "failure"),
        ({"ParsedResult": "Success"}, "System.Exception: it broke", "failure"),
        ({"ParsedResult": "Warning"}, {"Message": "an object"}, "failure"),
        (None, "System.Exception: it broke", "failure"),
        (None, None, "unclear"),
        ({}, None, "unclear"),
        ("System.IO.IOException: disk full", None, "failure"),
        ({"ClassName": "System.Exception", "Message": "disk full", "StackTraceString": "at x"}, None, "failure"),
        ({"ParsedResult": "Success", "FilesWithError": 2}, None, "warning"),
        ({"ParsedResult": "Success", "ErrorsActualLength": 2}, None, "warning"),
        ({"ParsedResult": "Success", "ExaminedFiles": 0}, None, "warning"),
        ({"ParsedResult": "Success", "MainOperation": "Repair", "ExaminedFiles": 0}, None, "success"),
        ({"ParsedResult": "Success", "FilesWithError": 0}, None, "success"),
    ],
)
def test_in_json_the_worst_result_counts(data: object, exception: object, outcome: str):
    assert posted(data, exception=exception)["outcome"] == outcome


def test_truncated_json_does_not_report_the_result_of_one_part():
    body = b'{"Data":{"CompactResults":{"ParsedResult":"Success"},"ParsedResult":"Err'
    with pytest.raises(NotUnderstood, match="broken"):
        duplicati.read(ToolRequest(body=body))


def test_the_same_backup_id_on_two_machines_is_two_jobs():
    jobs = {posted({}, **{"machine-id": machine})["job"] for machine in ("aaaaaaaa1", "bbbbbbbb1")}
    assert jobs == {"docs (DB-1, aaaaaaaa)", "docs (DB-1, bbbbbbbb)"}


@pytest.mark.parametrize(
    "name", ["", "a) (b", "<b>{{ 7*7 }}</b>", "../../etc/passwd", "\u202eevil 👩\u200d💻 גיבוי", "x" * 280]
)
def test_a_backup_may_have_any_name(name: str):
    event = form(f"Duplicati Backup report for {name} (0f1e2d3c4b5a, DB-1, NAS01)\n\nParsedResult: Error")
    assert (event["agent"], event["outcome"]) == ("NAS01", "failure")
    assert len(event["job"]) <= 200


def test_only_the_unix_time_in_brackets_is_used_of_a_date():
    at = [
        form(f"{HEAD}\n\nParsedResult: Success\nEndTime: {time}").get("occurred_at")
        for time in (
            "11/23/2026 2:03:11 AM (1795395791)",
            "\u06f1\u06f4\u06f0\u06f5/\u06f0\u06f9/02 (1795395791)",
            "03/04/2026 02:03:11",
        )
    ]
    assert at == ["2026-11-23T01:03:11+00:00", "2026-11-23T01:03:11+00:00", None]
    assert posted({"EndTime": "2026-11-23T01:03:11.1234567Z"})["occurred_at"] == "2026-11-23T01:03:11.123456+00:00"


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("00:03:10.1358024", 190.1358024), ("1.02:00:00", 93600), ("-00:00:05", None), ("9" * 500, None), (None, None)],
)
def test_a_duration_is_parsed_or_left_out(duration: object, seconds: float | None):
    assert (posted({"Duration": duration}).get("metrics") or {}).get("duration_s") == seconds


@pytest.mark.parametrize("amount", [-1, 10**400, "nonsense", [1], None, True])
def test_an_invalid_amount_is_left_out(amount: object):
    event = posted({"ParsedResult": "Success", "ExaminedFiles": amount, "SizeOfExaminedFiles": 7})
    assert event["metrics"] == {"bytes_processed": 7}


def test_the_next_scheduled_run_becomes_an_expectation():
    event = posted(None, exception="it broke", **{"next-scheduled-run": "20261124T010000Z"})
    assert event["extra"] == {"expects": {"next": "2026-11-24T01:00:00+00:00", "grace_s": 21600}}


@pytest.mark.parametrize("value", ["", "00010101T000000Z", "20261324T010000Z", "tomorrow", "20261124T010000", 7, None])
def test_an_invalid_next_run_is_not_expected(value: object):
    assert "extra" not in posted({}, **{"next-scheduled-run": value})


@pytest.mark.parametrize(
    ("operation", "activity"),
    [("Backup", "backup"), ("Restore", "restore"), ("Compact", "prune"), ("Test", "verify"), ("ListRemote", "other")],
)
def test_an_operation_is_mapped_to_an_activity(operation: str, activity: str):
    event = posted(
        {"MainOperation": operation, "ParsedResult": "Success"}, **{"next-scheduled-run": "20261124T010000Z"}
    )
    assert (event["activity"], "extra" in event) == (activity, activity == "backup")


def test_a_dry_run_is_not_a_backup():
    assert posted({"MainOperation": "Backup", "ParsedResult": "Success", "Dryrun": True})["activity"] == "other"


def test_any_form_parameter_may_hold_the_text_and_the_keys_job_comes_first():
    assert form(f"{HEAD}\n\nParsedResult: Error", parameter="text", job="daily")["job"] == "daily"
    assert form("Backup of X finished: Warning")["outcome"] == "warning"


@pytest.mark.parametrize("body", [b"", b"message=", b"message=Hello", b"\xff\xfe\x00", b"{}", b"[1]"])
def test_a_report_without_a_result_is_not_understood(body: bytes):
    with pytest.raises(NotUnderstood):
        duplicati.read(ToolRequest(headers=FORM, body=body))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_json_may_begin_with_a_byte_order_mark(encoding: str):
    body = '{"Data":{"ParsedResult":"Error"},"Extra":{"machine-name":"BÜRO"}}'.encode(encoding)
    (event,) = duplicati.read(ToolRequest(body=body))
    assert (event.get("outcome"), event.get("agent")) == ("failure", "BÜRO")


def test_the_same_report_has_the_same_key_and_another_report_another():
    ends = {"ParsedResult": "Success", "EndTime": "2026-11-23T01:03:11Z"}
    assert posted(ends)["key"] == posted(ends)["key"] != posted({**ends, "ParsedResult": "Error"})["key"]
    assert "key" not in posted(None, exception="it fails alike each night")
    nights = [
        posted(None, exception="alike", **{"next-scheduled-run": f"202611{day}T010000Z"})["key"] for day in (24, 24, 25)
    ]
    assert nights[0] == nights[1] != nights[2]
