"""What scripts post of restic's and borg's output: the exit code and the errors decide, never standard output alone."""

import json
from datetime import UTC, datetime

import pytest

from app.intake.dialects import borg, restic
from app.intake.dialects.script_output import split_output
from app.intake.dialects.tool_request import Dialect, NotUnderstood, ToolRequest

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
STATUS = '{"message_type":"status","percent_done":0.5}\n'
SUMMARY = '{"message_type":"summary","files_new":1,"data_added":9,"total_files_processed":1,"total_duration":2.5,"snapshot_id":"ab"}\n'
ERROR = '{"message_type":"error","error":{"message":"open /a: permission denied"},"during":"%s","item":"/a"}\n'
EXIT = '{"message_type":"exit_error","code":%d,"message":"Fatal: %s"}\n'
ARCHIVE = json.dumps({"archive": {"name": "a", "id": "1", "duration": 2.5, "stats": {"nfiles": 3}}, "repository": {"location": "/r"}}, indent=4)  # fmt: skip
LOG = '{"type": "log_message", "time": 1795395536.1, "message": "%s", "levelname": "%s", "name": "borg"}\n'


def read_one(dialect: Dialect, body: str | bytes, job: str | None = "daily", **query: str) -> dict:
    data = body if isinstance(body, bytes) else body.encode()
    (event,) = dialect(ToolRequest(query=list(query.items()), body=data, job=job))
    return dict(event)


@pytest.mark.parametrize(
    ("body", "code", "outcome", "message"),
    [
        (SUMMARY, None, "success", None),
        (SUMMARY, "0", "success", None),
        (SUMMARY, "3", "warning", "some files could not be read (exit code 3)"),
        (SUMMARY, "1", "failure", "exit code 1"),
        ("", "0", "success", None),
        ("", "11", "failure", "the repository is locked"),
        ("", "130", "failure", "it was interrupted"),
        ("", "143", "failure", "ended by signal 15"),
        ("", "-9", "failure", "ended by signal 9"),
        (SUMMARY + ERROR % "archival", None, "warning", "open /a: permission denied"),
        (
            SUMMARY + ERROR % "archival",
            "0",
            "warning",
            "open /a: permission denied",
        ),  # the code of a pipe's last program
        (EXIT % (12, "wrong password"), None, "failure", "wrong password"),
        (EXIT % (12, "wrong password"), "0", "failure", "wrong password"),
        (SUMMARY + "/b does not exist, skipping\n", "0", "warning", "/b does not exist, skipping"),
        ("\x1b[2Ksignal interrupt received, cleaning up\n", None, "failure", "signal interrupt received, cleaning up"),
        (STATUS * 3, None, "failure", "the output ends before restic's summary: restic did not finish"),
        (
            STATUS + SUMMARY[:-40],
            None,
            "failure",
            "the output ends before restic's summary: restic did not finish",
        ),
        ('{"message_type":"summary","num_errors":2}', None, "failure", "exit code 1"),
    ],
)
def test_the_worst_of_restics_output_and_exit_code_counts(body: str, code: str | None, outcome: str, message: str):
    event = read_one(restic.read, body, **({"exit_code": code} if code else {}))
    assert (event["outcome"], event.get("message")) == (outcome, message)
    assert (event["phase"], event["job"]) == ("finished", "daily")


def test_restics_amounts_are_summed_and_each_failed_file_counts_once():
    body = SUMMARY + ERROR % "scan" + ERROR % "archival" + SUMMARY
    found = read_one(restic.read, body, exit="3")["metrics"]
    assert found == {"duration_s": 5, "bytes_stored": 18, "files_processed": 2, "files_failed": 1, "exit_code": 3}


def test_restics_end_is_the_events_time_and_a_repeated_post_is_the_same_event():
    body = SUMMARY.replace("}", ',"backup_end":"2026-11-23T01:00:00.123456789+01:00"}')
    first = read_one(restic.read, body, rc="0")
    assert first["occurred_at"] == "2026-11-23T00:00:00.123456+00:00"
    assert first["key"] == read_one(restic.read, body, rc="0")["key"] != read_one(restic.read, body, rc="3")["key"]
    assert "occurred_at" not in read_one(restic.read, body.replace("+01:00", ""))


@pytest.mark.parametrize(
    ("body", "activity"),
    [
        (SUMMARY, "backup"),
        (SUMMARY.replace("}", ',"dry_run":true}'), "other"),
        ('{"message_type":"summary","num_errors":0}', "verify"),
        ('{"message_type":"summary","total_files":2,"files_restored":2}', "restore"),
        ('[{"tags":null,"host":"vm","keep":[],"remove":null}]', "prune"),
        ('[{"time":"2026-11-23T00:00:00Z","short_id":"ab"}]', "other"),
        ('{"message_type":"initialized","id":"ab"}', "admin"),
        ("no errors were found\n", "verify"),
    ],
)
def test_restics_activity_is_found_in_its_output(body: str, activity: str):
    assert read_one(restic.read, body, exit_code="0")["activity"] == activity
    assert read_one(restic.read, body, exit_code="0", activity="Prune")["activity"] == "prune"


def test_the_log_has_no_progress_and_plain_text_instead_of_restics_json_errors():
    event = read_one(restic.read, STATUS * 5000 + ERROR % "scan" + "x" * 2_000_000 + "\n" + EXIT % (1, "full"))
    head, *_, last = event["log"].splitlines()
    assert (head, last) == ("error: open /a: permission denied", "Fatal: full")
    assert "status" not in event["log"]


@pytest.mark.parametrize(
    ("body", "code", "outcome", "message"),
    [
        (ARCHIVE, None, "success", None),
        (ARCHIVE, "0", "success", None),
        (ARCHIVE, "1", "warning", "borg reports a warning (exit code 1)"),
        (ARCHIVE, "107", "warning", "borg reports a warning (exit code 107)"),
        (ARCHIVE, "108", "failure", "exit code 108: archive a in /r"),
        (ARCHIVE, "127", "failure", "exit code 127: the command was not found: archive a in /r"),
        ("", "126", "failure", "exit code 126: the command could not be run"),
        ("", "137", "failure", "ended by signal 9"),
        (ARCHIVE, "2", "failure", "exit code 2: archive a in /r"),
        (ARCHIVE, "137", "failure", "ended by signal 9: archive a in /r"),
        (LOG % ("/a: open: denied", "WARNING") + ARCHIVE, None, "warning", "/a: open: denied"),
        (LOG % ("Remote: welcome", "WARNING") + ARCHIVE, None, "success", None),
        (LOG % ("Archive dup already exists", "ERROR"), "30", "failure", "Archive dup already exists"),
        (LOG % ("Data integrity error: x", "ERROR"), "1", "failure", "Data integrity error: x"),
        (LOG % ("Traceback (most):\\n  File\\nOSError: [Errno 28] full\\n\\nPlatform: x", "ERROR"), "2", "failure", "OSError: [Errno 28] full"),
        ('{"type": "file_status", "status": "E", "path": "/a"}', "0", "warning", "/a: could not be read"),
        ("E /a\nterminating with warning status, rc 1\n", None, "warning", "/a: could not be read"),
        ("terminating with success status, rc 0\n", None, "success", None),
        ('{"type": "archive_progress", "nfiles": 1}\n', None, "failure", "the output ends before borg's archive: borg did not finish"),
    ],
)  # fmt: skip
def test_the_worst_of_borgs_output_and_exit_code_counts(body: str, code: str | None, outcome: str, message: str):
    event = read_one(borg.read, body, **({"code": code} if code else {}))
    assert (event["outcome"], (event.get("message") or "").partition(" (2 such")[0] or None) == (outcome, message)


def test_borgs_times_without_zone_are_not_used():
    archive = ARCHIVE.replace('"duration"', '"end": "2026-11-23T00:58:34.000000", "duration"')
    assert "occurred_at" not in read_one(borg.read, archive)
    assert read_one(borg.read, LOG % ("x", "INFO") + archive)["occurred_at"].startswith("2026-11-23T00:58:56")


def test_borgs_json_may_be_between_log_lines():
    event = read_one(borg.read, LOG % ("a", "INFO") + ARCHIVE + "\n" + LOG % ("b", "INFO"), job=None, host="nas01")
    assert (event["agent"], event["job"], event["labels"]["repository"]) == ("nas01", "borg", "/r")
    assert event["metrics"] == {"duration_s": 2.5, "files_processed": 3}
    assert event["log"] == "a\narchive a in /r\nb"


@pytest.mark.parametrize(
    ("line", "activity"),
    [
        ("Pruning archive (1/6): a", "prune"),
        ("Finished full repository check, no problems found.", "verify"),
        ("compaction freed about 1 kB", "prune"),
    ],
)
def test_borgs_activity_is_found_in_its_log_or_in_the_address(line: str, activity: str):
    assert read_one(borg.read, LOG % (line, "INFO"), exit_code="0")["activity"] == activity
    assert read_one(borg.read, "", exit_code="0", activity="verify")["activity"] == "verify"


@pytest.mark.parametrize("dialect", [restic.read, borg.read])
@pytest.mark.parametrize(
    "body", [b"", b"\xff\x00", b"<html>", b"[1, 2]", b'{"archive": 7}', b'{"message_type": []}', b"[" * 5000]
)
def test_output_of_another_program_is_not_understood(dialect: Dialect, body: bytes):
    with pytest.raises(NotUnderstood):
        dialect(ToolRequest(query=[("exit_code", "none")], body=body))
    assert read_one(dialect, body, exit_code="3")["outcome"] == ("warning" if dialect is restic.read else "failure")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252"])
def test_output_in_another_character_set_is_decoded(encoding: str):
    body = (SUMMARY + "Überblick does not exist, skipping\n").encode(encoding)
    event = read_one(restic.read, body)
    assert (event["outcome"], event["message"][1:]) == ("warning", "berblick does not exist, skipping")


def test_only_a_few_attempts_are_made_to_parse_values_over_several_lines():
    text = '{\n"a' * 100_000
    assert sum(piece.value is None for piece in split_output(text)) == 200_000 - 99_999
