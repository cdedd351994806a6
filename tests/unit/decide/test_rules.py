"""What a run does to the alerts of its job: it opens, repeats or closes one, or does nothing, and the reason that it shows."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from app.decide.rules import (
    AlertChange,
    CloseAlert,
    OpenAlert,
    RepeatAlert,
    judge_agent_silence,
    judge_outcomes,
    judge_overrun,
    rule_for,
)
from app.domain.alert import AlertKind, Rule
from app.domain.event import RUN_BEGAN, EventKind, RunOutcome, Severity
from app.domain.job import Job, apply_run
from tests.support.decide_cases import FACTS, ago, alert, event, job, matchers, rule, run

SUCCESS, WARNING, FAILURE = RunOutcome.SUCCESS, RunOutcome.WARNING, RunOutcome.FAILURE
CANCELLED, MISSED = RunOutcome.CANCELLED, RunOutcome.MISSED
DEFAULT = [rule(AlertKind.FAILED), rule(AlertKind.MISSED), rule(AlertKind.WARNING)]
THIRD_FAILURE = [rule(AlertKind.FAILED, after_in_row=3)]
DISABLED = [rule(AlertKind.FAILED, enabled=False)]

FINE = job(last_run_id="run_1", last_outcome=SUCCESS)
FAILED_ONCE = job(last_run_id="run_1", last_outcome=FAILURE, failures_in_row=1, failing_since=ago(days=1))
FAILED_TWICE = replace(FAILED_ONCE, failures_in_row=2)
WARNED_ONCE = job(last_run_id="run_1", last_outcome=WARNING, warnings_in_row=1)
MISSED_ONCE = job(last_run_id="run_1", last_outcome=MISSED, missed_in_row=1, failing_since=ago(days=1))


def in_words(changes: list[AlertChange]) -> list[str]:
    words: list[str] = []
    for change in changes:
        match change:
            case OpenAlert():
                words.append(f"open {change.kind}: {change.reason}")
            case RepeatAlert():
                words.append(f"repeat {change.alert.kind}: {change.repeats} more")
            case CloseAlert():
                words.append(f"close {change.alert.kind}: {change.reason}")
    return words


@pytest.mark.parametrize(
    ("before", "open_alerts", "outcome", "rules", "changes"),
    [
        (FINE, [], SUCCESS, DEFAULT, []),
        (FINE, [], FAILURE, DEFAULT, ["open failed: a failure; rule 'every failed'"]),
        (FINE, [], WARNING, DEFAULT, ["open warning: a run with warnings; rule 'every warning'"]),
        (FINE, [], MISSED, DEFAULT, ["open missed: a missed run; rule 'every missed'"]),
        (FINE, [], CANCELLED, DEFAULT, []),
        (FINE, [], FAILURE, [], []),  # no rule, no alert
        (FINE, [], FAILURE, DISABLED, []),
        (FINE, [], FAILURE, [*DISABLED, *DEFAULT], []),  # the first rule that matches decides, also a disabled one
        (FINE, [], FAILURE, THIRD_FAILURE, []),
        (FAILED_ONCE, [], FAILURE, THIRD_FAILURE, []),
        (FAILED_TWICE, [], FAILURE, THIRD_FAILURE, ["open failed: 3rd failure in a row; rule 'every failed'"]),
        (FAILED_ONCE, ["failed"], FAILURE, DEFAULT, ["repeat failed: 1 more"]),
        (FAILED_ONCE, ["failed"], SUCCESS, DEFAULT, ["close failed: ran with outcome success"]),
        (
            FAILED_ONCE,
            ["failed"],
            WARNING,
            DEFAULT,
            ["close failed: ran with outcome warning", "open warning: a run with warnings; rule 'every warning'"],
        ),
        (FAILED_ONCE, ["failed"], CANCELLED, DEFAULT, []),
        (FAILED_ONCE, ["failed"], MISSED, DEFAULT, ["open missed: a missed run; rule 'every missed'"]),
        (FAILED_ONCE, [], FAILURE, DEFAULT, ["open failed: 2nd failure in a row; rule 'every failed'"]),
        (FAILED_ONCE, [], WARNING, [rule(AlertKind.FAILED)], []),  # closed by an administrator: it stays closed
        (WARNED_ONCE, ["warning"], WARNING, DEFAULT, ["repeat warning: 1 more"]),
        (WARNED_ONCE, ["warning"], SUCCESS, DEFAULT, ["close warning: ran with outcome success"]),
        (WARNED_ONCE, ["warning"], FAILURE, DEFAULT, ["open failed: a failure; rule 'every failed'"]),
        (MISSED_ONCE, ["missed"], MISSED, DEFAULT, ["repeat missed: 1 more"]),
        (MISSED_ONCE, ["missed"], SUCCESS, DEFAULT, ["close missed: it ran"]),
        (MISSED_ONCE, ["missed"], CANCELLED, DEFAULT, ["close missed: it ran"]),
        (
            MISSED_ONCE,
            ["missed"],
            FAILURE,
            DEFAULT,
            ["open failed: a failure; rule 'every failed'", "close missed: it ran"],
        ),
    ],
)
def test_a_run_changes_the_alerts_of_its_job(
    before: Job, open_alerts: list[str], outcome: RunOutcome, rules: list[Rule], changes: list[str]
) -> None:
    ended = run(outcome)
    opened = {AlertKind(kind): alert(AlertKind(kind)) for kind in open_alerts}
    assert in_words(judge_outcomes(before, apply_run(before, ended), [ended], opened, FACTS, rules, [ended])) == changes


def test_an_alert_closes_when_a_late_report_leaves_too_few_in_a_row() -> None:
    before, after = replace(FINE, failures_in_row=3), replace(FINE, failures_in_row=1, last_run_id="run_2")
    opened = {AlertKind.FAILED: alert()}
    changes = judge_outcomes(before, after, [run(SUCCESS)], opened, FACTS, THIRD_FAILURE, [run(SUCCESS)])
    assert in_words(changes) == ["close failed: with a late report there are only 1 in a row"]


@pytest.mark.parametrize(
    ("outcome", "came", "changes"),
    [
        (SUCCESS, ago(days=0), ["close failed: ran with outcome success"]),
        (WARNING, ago(days=0), ["close failed: ran with outcome warning"]),
        (SUCCESS, ago(days=9), []),  # it is older than the failure by the same clock
        (MISSED, ago(days=0), []),
        (CANCELLED, ago(days=0), []),
    ],
)
def test_only_a_good_run_after_a_late_failure_closes_its_alert(
    outcome: RunOutcome, came: datetime, changes: list[str]
) -> None:
    ended = replace(run(outcome), ended_at=came)
    opened = {AlertKind.FAILED: alert()}
    after = apply_run(FINE, ended)
    history = [run(SUCCESS), ended]  # of a job whose state is restored: older runs stand in it too
    assert in_words(judge_outcomes(FINE, after, history, opened, FACTS, [rule(AlertKind.FAILED)], [ended])) == changes


@pytest.mark.parametrize(
    ("outcome", "severity_of_the_run", "severity", "hold_min"),
    [
        (FAILURE, Severity.ERROR, Severity.ERROR, 30),
        (FAILURE, Severity.INFO, Severity.ERROR, 30),
        (FAILURE, Severity.CRITICAL, Severity.CRITICAL, 0),  # it does not wait for a retry
        (WARNING, Severity.ERROR, Severity.WARNING, 30),
        (WARNING, Severity.CRITICAL, Severity.CRITICAL, 0),
        (MISSED, Severity.ERROR, Severity.ERROR, 30),
        (MISSED, Severity.WARNING, Severity.WARNING, 30),  # expected by a learned cadence
    ],
)
def test_the_severity_of_an_alert_and_how_long_it_waits_for_a_retry(
    outcome: RunOutcome, severity_of_the_run: Severity, severity: Severity, hold_min: int
) -> None:
    ended = run(outcome, severity=severity_of_the_run)
    rules = [replace(one, retry_within=timedelta(minutes=30)) for one in DEFAULT]
    [change] = judge_outcomes(FINE, apply_run(FINE, ended), [ended], {}, FACTS, rules, [ended])
    assert isinstance(change, OpenAlert)
    assert (change.severity, change.hold) == (severity, timedelta(minutes=hold_min))


@pytest.mark.parametrize(
    ("in_row", "words"),
    [
        (0, "a failure"),
        (1, "2nd failure in a row"),
        (3, "4th failure in a row"),
        (10, "11th failure in a row"),
        (20, "21st failure in a row"),
        (21, "22nd failure in a row"),
        (22, "23rd failure in a row"),
        (110, "111th failure in a row"),
    ],
)
def test_the_reason_counts_the_failures(in_row: int, words: str) -> None:
    before, ended = replace(FINE, failures_in_row=in_row), run(FAILURE)
    changes = judge_outcomes(before, apply_run(before, ended), [ended], {}, FACTS, DEFAULT, [ended])
    assert in_words(changes) == [f"open failed: {words}; rule 'every failed'"]


@pytest.mark.parametrize(
    ("rules", "chosen"),
    [
        ([rule(AlertKind.WARNING)], None),
        ([rule(AlertKind.FAILED)], "every failed"),
        ([rule(AlertKind.FAILED, name="sql", matchers=matchers("job like *sql")), rule(AlertKind.FAILED)], "sql"),
        (
            [rule(AlertKind.FAILED, name="files", matchers=matchers("job is files")), rule(AlertKind.FAILED)],
            "every failed",
        ),
        ([rule(AlertKind.FAILED, name="theirs", customer_id="cus_2"), rule(AlertKind.FAILED)], "every failed"),
        ([rule(AlertKind.FAILED, name="ours", customer_id="cus_1"), rule(AlertKind.FAILED)], "ours"),
        ([rule(AlertKind.FAILED, name="off", enabled=False), rule(AlertKind.FAILED)], "off"),
        ([rule(AlertKind.FAILED, name="kind", matchers=matchers("kind is failed"))], "kind"),
    ],
)
def test_the_first_rule_that_matches_decides(rules: list[Rule], chosen: str | None) -> None:
    found = rule_for(AlertKind.FAILED, "cus_1", FACTS, rules)
    assert (found.name if found else None) == chosen


OVERRUN = [rule(AlertKind.OVERRUN)]
HANGS, EARLIER, LATER = ago(hours=9), ago(hours=10), ago(hours=3)


@pytest.mark.parametrize(
    ("hangs_since", "ended", "proven", "has_event", "is_open", "rules", "changes"),
    [
        (HANGS, None, None, True, False, OVERRUN, ["open overrun: still running; rule 'every overrun'"]),
        (HANGS, None, None, False, False, OVERRUN, []),  # its rule did not match when it was found
        (HANGS, LATER, LATER, False, True, OVERRUN, []),  # another run ended
        (HANGS, None, None, True, True, OVERRUN, ["repeat overrun: 1 more"]),  # a second run hangs
        (HANGS, None, None, True, False, [], []),
        (HANGS, None, None, True, False, [rule(AlertKind.OVERRUN, enabled=False)], []),
        (None, LATER, LATER, True, False, OVERRUN, []),  # it ended before the event was decided on
        (None, LATER, None, True, False, OVERRUN, ["open overrun: still running; rule 'every overrun'"]),  # unclear
        (None, EARLIER, EARLIER, True, False, OVERRUN, []),  # a person closed its alert
        (None, LATER, LATER, False, True, OVERRUN, ["close overrun: no run takes too long any more"]),
        (None, LATER, EARLIER, False, True, OVERRUN, []),  # it ended unclear
    ],
)
def test_a_run_that_takes_too_long(
    hangs_since: datetime | None,
    ended: datetime | None,
    proven: datetime | None,
    has_event: bool,
    is_open: bool,
    rules: list[Rule],
    changes: list[str],
) -> None:
    overran = event(kind=EventKind.OVERRUN, extra={RUN_BEGAN: HANGS.isoformat()}) if has_event else None
    opened = replace(alert(AlertKind.OVERRUN), since=HANGS) if is_open else None
    found = judge_overrun(job(last_finished_at=ended), overran, hangs_since, proven, opened, FACTS, rules)
    assert in_words(found) == changes


SILENT = [rule(AlertKind.AGENT_SILENT)]
OPENS = "open agent_silent: no report since 2026-03-04 08:00 UTC; rule 'every agent_silent'"
BEFORE, SINCE = ago(hours=2), ago(minutes=-1)


@pytest.mark.parametrize(
    ("has_event", "proven", "is_open", "rules", "changes"),
    [
        (True, BEFORE, False, SILENT, [OPENS]),
        (True, None, False, SILENT, [OPENS]),  # it never sent a report, or only unclear ones
        (True, BEFORE, True, SILENT, []),
        (True, BEFORE, False, [], []),
        (True, BEFORE, False, [rule(AlertKind.AGENT_SILENT, enabled=False)], []),
        (True, SINCE, False, SILENT, []),  # it reported meanwhile
        (False, SINCE, True, SILENT, ["close agent_silent: the agent reported again"]),
        (False, BEFORE, True, SILENT, []),
    ],
)
def test_an_agent_that_is_silent(
    has_event: bool, proven: datetime | None, is_open: bool, rules: list[Rule], changes: list[str]
) -> None:
    silent = event(kind=EventKind.SILENT) if has_event else None
    opened = replace(alert(AlertKind.AGENT_SILENT), since=ago(hours=1)) if is_open else None
    found = judge_agent_silence("cus_1", silent, proven, alert=opened, facts=FACTS, rules=rules)
    assert in_words(found) == changes
