"""An address that states trouble in any way that people write it reports no success."""

import pytest

from app.intake.accept import run_dialect
from app.intake.dialects import cronhub, cronitor, healthchecks, resticprofile, sentry_cron, uptime_kuma
from app.intake.dialects.tool_request import ToolRequest

BAD_OR_UNKNOWN = {"failure", "warning", "cancelled", "unclear"}
# Each address reports a success.
ADDRESSES = [
    (healthchecks, ["db"], []),
    (healthchecks, [], []),
    (healthchecks, ["db", "0"], []),
    (cronitor, ["db"], [("state", "complete")]),
    (cronhub, ["finish", "db"], []),
    (sentry_cron, ["db"], [("status", "ok")]),
    (uptime_kuma, [], [("status", "up")]),
    (resticprofile, [], [("profile", "db")]),
]


def outcome_of(tool, path: list[str], query: list[tuple[str, str]], body: bytes = b"", job: str | None = None):
    request = ToolRequest(path=path, query=query, body=body, job=job)
    (event,) = run_dialect(tool.__name__.rpartition(".")[2], tool.read, request)
    return event.get("outcome")


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "1") for name in ("exit_code", "exitCode", "EXIT-CODE", "exit", "rc", "errorlevel", "errors")),
        *(("exit_code", value) for value in ("-1", "4294967295", "1.0", "$?", "%ERRORLEVEL%", "x")),
        *(("outcome", value) for value in ("failure", "FAILED", "fehlgeschlagen", "warning", "cancelled")),
        *(("State", value) for value in ("fail", "down", "error", "nok")),
        *((name, value) for name, value in (("failed", "true"), ("error", "disk full"), ("success", "false"))),
    ],
)
def test_a_parameter_that_states_trouble_outweighs_an_address_that_reports_a_success(address, name: str, value: str):
    tool, path, query = address
    assert outcome_of(tool, path, query) == "success"
    assert outcome_of(tool, path, [*query, (name, value)]) in BAD_OR_UNKNOWN


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exit_code", "0"),
        ("rc", ""),
        ("errors", "0"),
        ("failed", "false"),
        ("error", ""),
        ("success", "true"),
        ("result", "done"),
        ("state", "ok"),
        ("job", "failed logins"),
        ("host", "error"),
    ],
)
def test_other_parameters_leave_a_success(address, name: str, value: str):
    tool, path, query = address
    if (tool, name) in ((cronitor, "state"), (uptime_kuma, "state")):
        return
    assert outcome_of(tool, path, [*query, (name, value)]) == "success"


@pytest.mark.parametrize("tool", [healthchecks, cronitor])
@pytest.mark.parametrize("end", ["FAIL", "Fail", "failed", "failure", "error", "down", "fehlgeschlagen", "256", "-1"])
def test_an_end_of_an_address_that_is_meant_as_a_failure_is_no_job_that_succeeded(tool, end: str):
    for path in ([end], ["db", end]):
        assert outcome_of(tool, path, []) in BAD_OR_UNKNOWN
    assert outcome_of(tool, [end], [], job="db") in BAD_OR_UNKNOWN


@pytest.mark.parametrize("end", ["4294967295", "1000", "$?", "1.0", "%", "1/", "fail/"])
def test_what_a_shell_or_windows_writes_as_an_exit_code_is_no_job_that_succeeded(end: str):
    assert outcome_of(healthchecks, [end], []) in BAD_OR_UNKNOWN


@pytest.mark.parametrize(
    "slug", ["db", "db01", "failover-db", "failed-logins", "error_log", "sql-2019", "2024-archive"]
)
def test_names_with_words_and_numbers_are_still_names_of_jobs(slug: str):
    assert outcome_of(healthchecks, [slug], []) == "success"
    assert outcome_of(cronitor, [slug], []) == "success"


def test_start_in_capital_letters_is_a_start():
    assert outcome_of(healthchecks, ["db", "START"], []) is None


def test_a_check_in_of_sentry_whose_body_states_an_error_is_no_success():
    assert outcome_of(sentry_cron, ["db"], [("status", "ok")], b'{"status": "error"}') == "failure"


def test_a_status_code_of_cronitor_that_is_no_number_proves_no_success():
    assert outcome_of(cronitor, ["db"], [("state", "complete"), ("status_code", "$?")]) == "unclear"


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"", "unclear"),
        (b"{}", "unclear"),
        (b'{"profileName": "home"}', "unclear"),
        (b'{"profileName": "home", "exitCode": ""}', "success"),
        (b'{"profileName": "home", "exitCode": "1"}', "failure"),
        (b'{"profileName": "home", "error": ""}', "success"),
        (b"Fatal: unable to open repository", "failure"),
    ],
)
def test_a_hook_that_comes_after_failures_too_proves_a_success_only_by_what_it_says(body: bytes, outcome: str):
    assert outcome_of(resticprofile, ["finally"], [], body) == outcome
