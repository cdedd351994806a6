"""Kopia's webhook: the status counts, never the subject; each snapshot is a job."""

import json
from datetime import UTC, datetime

import pytest

from app.intake.dialects import kopia
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
GOOD = "Successfully created a snapshot of /srv on nas01"


def block(status: str, path: str = "/srv", more: str = "", start: str = "Mon, 23 Nov 2026 02:00:00 +0100") -> str:
    return f"Path: {path}\n\n  Status:      {status}\n  Start:       {start}\n  Duration:    1m2.3s\n{more}\n"


def read_events(text: str | bytes, subject: str = GOOD, job: str | None = None) -> list[dict]:
    body = text if isinstance(text, bytes) else text.encode()
    return [dict(event) for event in kopia.read(ToolRequest(headers={"subject": subject}, body=body, job=job))]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("success", "success"),
        ("warnings", "warning"),
        ("incomplete", "warning"),
        ("fatal", "failure"),
        ("of a later Kopia", "warning"),
        ("", "unclear"),
    ],
)
def test_the_status_counts_and_not_the_subject(status: str, outcome: str):
    (event,) = read_events(block(status))
    assert (event["agent"], event["job"], event["outcome"]) == ("nas01", "/srv", outcome)
    assert ("message" in event) == (outcome != "success")


def test_a_subject_alone_is_not_a_success():
    with pytest.raises(NotUnderstood):
        read_events("Everything is fine.")
    (event,) = read_events("no template of ours", "Failed to create 1 of 3 snapshots on nas01")
    assert (event["outcome"], event["activity"]) == ("failure", "backup")


def test_each_snapshot_of_a_report_is_a_job():
    text = (
        block("success", "/etc") + block("fatal", "/home", "  Error:       denied") + block("warnings", "C:\\Büro 💾")
    )
    results = [(one["job"], one["outcome"]) for one in read_events(text, "Failed to create 1 of 3 snapshots on nas01")]
    assert results == [("/etc", "success"), ("/home", "failure"), ("C:\\Büro 💾", "warning")]


def test_amounts_and_reasons_are_kept():
    more = "  Size:        12.3 GB (+45.6 MB)\n  Files:       1,204 (+3)\n\n  Failed Entries:\n\n  - a: denied\n  - b: denied\n"
    (event,) = read_events(block("warnings", more=more).replace("\n", "\r\n"))
    assert event["metrics"] == {
        "duration_s": 62.3,
        "bytes_processed": 12.3e9,
        "bytes_stored": 45.6e6,
        "files_processed": 1204,
        "files_failed": 2,
    }
    assert (event["message"], event["occurred_at"]) == ("a: denied", "2026-11-23T01:01:02.300000+00:00")


@pytest.mark.parametrize("start", ["", "yesterday", "Mon, 23 Nov 2026 02:00:00", "Mon, 31 Dec 9999 23:59:59 -2359"])
def test_an_invalid_start_is_left_out(start: str):
    (event,) = read_events(block("success", start=start))
    assert "occurred_at" not in event


def test_an_absurd_duration_causes_no_error():
    (event,) = read_events(block("fatal").replace("1m2.3s", "9" * 19 + "h"))
    assert event["outcome"] == "failure"


def test_html_is_read_by_its_rows_and_names_are_unchanged():
    html = (
        '<table><tr class="snapshotstatus-success"><td><span class="path">/a</span></td><td>Mon, 23 Nov 2026 02:00:00 +0100</td>'
        '<td>3s</td></tr>\n<tr class="snapshotstatus-fatal"><td><span class="path">/a/<b>x</b></span></td>'
        "<td>Mon, 23 Nov 2026 02:00:00 +0100</td><td>4s</td></tr>"
        '<tr class="snapshotstatus-fatal"><td colspan="6"><b style="color:red">Error:</b> {{ 7*7 }}</td></tr></table>'
    )
    good, bad = read_events(html)
    assert (good["job"], good["outcome"], good["metrics"]) == ("/a", "success", {"duration_s": 3})
    assert (bad["job"], bad["outcome"], bad["message"]) == ("/a/<b>x</b>", "failure", "{{ 7*7 }}")


def test_an_html_row_has_amounts_and_failed_entries_have_their_own_row():
    html = (
        '<tr class="snapshotstatus-ok">\n<td><span class="path">/a</span></td>\n<td>Thu, 02 Jan 2020 03:04:05 +0000</td>\n'
        "<td>1.5s</td>\n<td>456 B <span class='increase'>(&#x2191; 56 B)</span></td>\n<td>1,230 <span>(&#x2191; 23)</span></td>\n"
        '<td>33</td>\n</tr>\n<tr class="snapshotstatus-ok">\n    <td colspan="6">\n<b>Failed Entries:</b>\n<ul>\n'
        '<li><span class="path">/a/b</span>: denied</li>\n<li><span class="path">/a/c</span>: denied</li></ul></td></tr>\n'
    )
    (event,) = read_events(html)
    assert (event["job"], event["outcome"], event["message"]) == ("/a", "warning", "/a/b: denied")
    assert event["metrics"] == {
        "duration_s": 1.5,
        "bytes_processed": 456,
        "bytes_stored": 56,
        "files_processed": 1230,
        "files_failed": 2,
    }


def test_a_snapshot_with_failed_entries_is_a_warning_whatever_its_status():
    (event,) = read_events(block("success", more="\n  Failed Entries:\n\n  - a: denied\n"))
    assert (event["outcome"], event["message"]) == ("warning", "a: denied")


def test_a_snapshot_that_shrank_has_no_stored_bytes():
    (event,) = read_events(block("success", more="  Size:        456 B (-44 B)\n"))
    assert event["metrics"] == {"duration_s": 62.3, "bytes_processed": 456}


def test_json_is_read_too():
    start = "Mon, 23 Nov 2026 02:00:00 +0100"
    good = {
        "path": "/a",
        "status": "success",
        "start": start,
        "duration": "1.5s",
        "totalSize": 456,
        "totalSizeDelta": 56,
    }
    partial = {**good, "path": "/b", "totalSizeDelta": -4, "failedEntries": [{"path": "x", "error": "denied"}, 7]}
    bad = {"path": "/c", "status": "fatal", "start": start, "error": "no space"}
    results = read_events(json.dumps({"hostname": "nas02", "snapshots": [good, partial, bad, "nonsense"]}))
    assert [(one["agent"], one["job"], one["outcome"]) for one in results] == [
        ("nas02", "/a", "success"),
        ("nas02", "/b", "warning"),
        ("nas02", "/c", "failure"),
    ]
    assert results[0]["metrics"] == {"duration_s": 1.5, "bytes_processed": 456, "bytes_stored": 56}
    assert (results[1]["message"], results[2]["message"]) == ("x: denied", "no space")
    error = {"operation": "Maintenance", "errorMessage": "no space", "hostname": "nas02"}
    (event,) = read_events(json.dumps(error), "Kopia has encountered an error during Maintenance on nas02")
    assert (event["job"], event["activity"], event["outcome"], event["message"]) == (
        "Maintenance",
        "prune",
        "failure",
        "no space",
    )


def test_text_that_contains_a_tag_is_read_as_text():
    (event,) = read_events(block("incomplete", "/srv/<tr>"))
    assert (event["job"], event["outcome"]) == ("/srv/<tr>", "warning")


def test_a_failed_operation_has_its_reason():
    text = "Operation: Maintenance\nStarted:   x\nFinished:  y\n\nunable to delete blobs\n\nGenerated at z by Kopia.\n"
    (event,) = read_events(text, "Kopia has encountered an error during Maintenance on nas01")
    assert (event["job"], event["activity"], event["outcome"]) == ("Maintenance", "prune", "failure")
    assert (event["agent"], event["message"]) == ("nas01", "unable to delete blobs")


def test_a_failed_operation_has_its_reason_in_html_too():
    html = (
        "<!doctype html>\n<html>\n<p><b>Operation:</b> Full Maintenance</p>\n<p><b>Message:</b> no space</p>\n</html>"
    )
    (event,) = read_events(html, "Kopia has encountered an error during Maintenance on nas01")
    assert (event["job"], event["outcome"], event["message"]) == ("Full Maintenance", "failure", "no space")


def test_a_test_message_has_no_outcome():
    (event,) = read_events("This is a test notification from Kopia.", "Test notification from Kopia at 02:00")
    assert "outcome" not in event


def test_a_subject_in_utf_8_is_decoded():
    subject = "Failed to create a snapshot of /ü on büro".encode().decode("latin-1")
    assert read_events("-", subject)[0]["agent"] == "büro"


def test_the_same_report_has_the_same_key_and_the_keys_job_comes_first():
    text = block("fatal")
    assert read_events(text)[0]["key"] == read_events(text)[0]["key"] != read_events(text, job="daily")[0]["key"]
    assert (read_events(text, job="daily")[0]["job"], read_events(text)[0]["labels"]["path"]) == ("daily", "/srv")
