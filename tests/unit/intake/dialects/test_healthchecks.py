"""Signals as in Healthchecks: what the address holds, and what a body adds to it."""

from datetime import UTC, datetime

import pytest

from app.intake.accept import run_dialect
from app.intake.dialects.healthchecks import TOOL, read
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
RID = "5f0d2a1c-8f55-4c0b-9c3a-0b6d9f0e1a11"


def read_one(*path: str, body: str = "", job: str | None = "daily", **query: str) -> dict:
    (event,) = read(ToolRequest(path=path, query=list(query.items()), body=body.encode(), job=job))
    return dict(event)


@pytest.mark.parametrize(
    ("signal", "phase", "outcome"),
    [
        ((), "finished", "success"),
        (("start",), "started", None),
        (("fail",), "finished", "failure"),
        (("log",), None, None),
        (("0",), "finished", "success"),
        (("3",), "finished", "failure"),
        (("255",), "finished", "failure"),
    ],
)
def test_the_address_holds_phase_and_outcome(signal: tuple[str, ...], phase: str | None, outcome: str | None):
    event = read_one(*signal)
    assert (event.get("phase"), event.get("outcome"), event["job"]) == (phase, outcome, "daily")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("3", "exit code 3"),
        ("126", "exit code 126: the command could not be run"),
        ("127", "exit code 127: the command was not found"),
        ("137", "ended by signal 9"),
    ],
)
def test_any_exit_code_but_0_is_a_failure_and_says_what_it_means(code: str, message: str):
    event = read_one(code)
    assert (event["outcome"], event["message"]) == ("failure", message)


@pytest.mark.parametrize("signal", ["256", "-1", "4294967296", "-1073741819", "0999"])
def test_a_number_beyond_an_exit_code_is_a_failure_all_the_same(signal: str):
    assert read_one(signal)["outcome"] == "failure"


@pytest.mark.parametrize("signal", ["1e2", "-0", "²", "finished", "BEGIN", "9" * 30])
def test_an_unknown_signal_is_not_understood(signal: str):
    with pytest.raises(NotUnderstood):
        read_one(signal)


def test_an_unknown_signal_is_reported_for_the_job_in_the_address():
    (event,) = run_dialect(TOOL, read, ToolRequest(path=("photos", "1e2")))
    assert (event["job"], event["outcome"]) == ("photos", "unclear")


@pytest.mark.parametrize(
    ("path", "job", "outcome"),
    [
        (("nas-daily",), "nas-daily", "success"),
        (("nas-daily", "fail"), "nas-daily", "failure"),
        (("log", "fail"), "log", "failure"),  # a slug may be called as a signal
        (("2026", "1"), "2026", "failure"),
        (("fail",), "healthchecks", "failure"),
    ],
)
def test_under_a_key_without_a_job_the_slug_names_it(path: tuple[str, ...], job: str, outcome: str):
    event = read_one(*path, job=None)
    assert (event["job"], event["outcome"]) == (job, outcome)


def test_signals_with_one_rid_are_one_run_and_a_repeated_signal_is_one_event():
    start, end = read_one("start", rid=RID), read_one(rid=RID, body="done")
    assert start["run"] == end["run"] == RID
    assert end["key"] == read_one(rid=RID, body="done")["key"] != start["key"]
    assert "key" not in read_one(body="done")  # two successes without a rid are two


@pytest.mark.parametrize(
    "line",
    [
        "/srv/db/locked.db: open: [Errno 13] Permission denied: 'locked.db'",
        "E /srv/db/locked.db",
        "/srv/growing.log: file changed while we backed it up",
        "tar: ./db: file changed as we read it",
        "tar: /root: Cannot open: Permission denied",
        "error: open /srv/x: permission denied",
        "Warning: at least one source file could not be read",
        "rsync warning: some files vanished before they could be transferred (code 24) at main.c(1338) [sender=3.2.7]",
        "2026-11-23 02:00:09.000 ERROR UPLOAD_CHUNK Failed to upload the chunk 9f2a: no space left on device",
    ],
)
def test_a_success_whose_log_contains_errors_is_a_warning(line: str):
    event = read_one(body=f"Creating archive\n{line}\nA /srv/a\n")
    assert event["outcome"] == "warning"
    assert line in event["message"]
    assert "outcome" not in read_one("log", body=line)  # a log never changes the state
    assert read_one("fail", body=line)["outcome"] == "failure"


@pytest.mark.parametrize("log", ["0 errors", "errors=0", "checked: no problems found", "E", "all read, no error"])
def test_a_log_without_errors_does_not_change_a_success(log: str):
    assert read_one(body=log)["outcome"] == "success"


@pytest.mark.parametrize(
    ("signal", "event", "error", "outcome", "activity"),
    [
        ((), "snapshot success", "", "success", "backup"),
        ((), "snapshot warning", "partial backup", "warning", "backup"),
        ((), "snapshot skipped", "", "success", "backup"),
        (("log",), "snapshot end", "exit status 1", "failure", "backup"),
        (("log",), "snapshot end", "", None, "backup"),
        (("start",), "prune start", "", None, "prune"),
        (("fail",), "check error", "repo contains errors", "failure", "verify"),
        ((), "snapshot error", "gone", "failure", "backup"),
    ],
)
def test_backrests_text_in_the_body_is_read(
    signal: tuple[str, ...], event: str, error: str, outcome: str, activity: str
):
    body = f'\nBackrest Notification\nTask: backup for plan "nas" at 2026-11-23T02:00:00Z\nEvent: {event}\n'
    found = read_one(*signal, body=body + (f"Error: {error}\n" if error else ""), job=None)
    assert (found.get("outcome"), found["activity"], found["job"]) == (outcome, activity, "nas")
    assert not error or found["message"] == error


def test_the_declared_type_of_a_body_is_ignored():
    request = ToolRequest(
        NOW, path=("fail",), headers={"content-type": "application/x-www-form-urlencoded"}, body=b"a & b = c%zz + d"
    )
    assert read(request)[0]["log"] == "a & b = c%zz + d"
