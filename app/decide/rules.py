"""Decides whether an alert opens, repeats or closes, with the reason. Pure: states before and after in, changes of alerts out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.agent import Agent, describe_offset
from app.domain.alert import Alert, AlertKind, Rule
from app.domain.event import RUN_BEGAN, Event, RunOutcome, Severity
from app.domain.job import ROW_ENDED_BY, Job
from app.domain.matcher import all_match
from app.domain.run import Run


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert opens. `hold`: for how long its notice waits; a success within that time closes the alert without any mail."""

    kind: AlertKind
    rule: Rule
    reason: str
    since: datetime
    severity: Severity
    message: str | None
    event_id: str | None
    in_row: int
    hold: timedelta
    form: str = ""  # of an unclear alert: the key of its text's form


@dataclass(frozen=True, slots=True)
class RepeatAlert:
    """The problem of an open alert occurred again; that alone sends no notice."""

    alert: Alert
    repeats: int
    last_at: datetime
    message: str | None
    event_id: str | None
    severity: Severity


@dataclass(frozen=True, slots=True)
class CloseAlert:
    """An alert closes."""

    alert: Alert
    reason: str


AlertChange = OpenAlert | RepeatAlert | CloseAlert
_COUNTED_OUTCOME = {
    AlertKind.FAILED: RunOutcome.FAILURE,
    AlertKind.MISSED: RunOutcome.MISSED,
    AlertKind.WARNING: RunOutcome.WARNING,
}


def rule_for(kind: AlertKind, customer_id: str, facts: Mapping[str, str], rules: Sequence[Rule]) -> Rule | None:
    """Return the first rule for this kind that matches; also a disabled one, which means that nothing opens."""
    for rule in rules:
        if (
            rule.kind is kind
            and rule.customer_id in (None, customer_id)
            and (not rule.matchers or all_match(rule.matchers, {**facts, "kind": kind}))
        ):
            return rule
    return None


def judge_outcomes(
    before: Job,
    after: Job,
    runs: Sequence[Run],
    opened: Mapping[AlertKind, Alert],
    facts: Mapping[str, str],
    rules: Sequence[Rule],
    fresh: Sequence[Run],
    late_failure: Run | None = None,
) -> list[AlertChange]:
    """Judge the three kinds that count outcomes in a row. `runs`: the ended runs that changed `before` to `after`, newest last.

    `fresh`: those that ended just now; of a job whose state is restored, `runs` has older ones too.
    `late_failure`: one that counts for the alert although a run with a later time ended well; see fold.py.
    """
    changes: list[AlertChange] = []
    for kind, in_row, was in (
        (AlertKind.FAILED, after.failures_in_row, before.failures_in_row),
        (AlertKind.MISSED, after.missed_in_row, before.missed_in_row),
        (AlertKind.WARNING, after.warnings_in_row, before.warnings_in_row),
    ):
        rule = rule_for(kind, after.customer_id, facts, rules)
        alert = opened.get(kind)
        run = next((run for run in reversed(runs) if run.outcome is _COUNTED_OUTCOME[kind]), None)
        least = 1 if rule is None else rule.after_in_row
        if kind is AlertKind.FAILED and late_failure is not None and in_row <= was and (in_row == 0 or alert is None):
            changes += _judge_late_failure(late_failure, alert, rule)
            continue
        is_newest = after.last_run_id != before.last_run_id and after.last_outcome is _COUNTED_OUTCOME[kind]
        if alert is not None and in_row < was and 0 < in_row < least:
            changes.append(CloseAlert(alert, f"with a late report there are only {in_row} in a row"))
        elif alert is not None and in_row == 0 and (was or _is_answered(alert, fresh, before.late_failure_at)):
            reason = "it ran" if kind is AlertKind.MISSED else f"ran with outcome {after.last_outcome}"
            changes.append(CloseAlert(alert, reason))
        elif run is None or not (in_row > was or is_newest):
            continue  # the runs concern another kind: an alert that an administrator closed stays closed
        elif alert is not None:
            ended_at, severity = run.ended_at or alert.last_at, _alert_severity(kind, run)
            changes.append(RepeatAlert(alert, in_row - 1, ended_at, run.message, run.event_id, severity))
        elif rule is not None and rule.enabled and in_row >= least:
            severity = _alert_severity(kind, run)
            since = run.ended_at or after.created_at
            if kind is not AlertKind.WARNING and after.failing_since is not None:
                since = after.failing_since
            # What an agent calls critical is reported at once: a retry may come too late.
            hold = timedelta(0) if severity is Severity.CRITICAL else rule.retry_within
            reason = f"{_count_in_words(kind, in_row)}; rule '{rule.name}'"
            changes.append(OpenAlert(kind, rule, reason, since, severity, run.message, run.event_id, in_row, hold))
    return changes


def _is_answered(alert: Alert, fresh: Sequence[Run], late_failure_at: datetime | None) -> bool:
    """Return whether a run that ended just now answers an alert that no row of runs keeps open, such as that of a late failure.

    A missed or cancelled run does not: it would close the alert of a failure that no run has followed. Nor does a run that ended before
    a later one of these failures.
    """
    ended_by, since = ROW_ENDED_BY[_COUNTED_OUTCOME[alert.kind]], alert.since
    if alert.kind is AlertKind.FAILED and late_failure_at is not None:
        since = max(since, late_failure_at)
    return any(run.outcome in ended_by and run.ended_at is not None and run.ended_at >= since for run in fresh)


def _judge_late_failure(run: Run, alert: Alert | None, rule: Rule | None) -> list[AlertChange]:
    """Open or repeat the alert of a failure whose own time may be wrong. The job's next run with a good end closes it."""
    if run.ended_at is None:
        return []
    severity = _alert_severity(AlertKind.FAILED, run)
    if alert is not None:
        return [RepeatAlert(alert, alert.repeats + 1, run.ended_at, run.message, run.event_id, severity)]
    if rule is None or not rule.enabled or rule.after_in_row > 1:
        return []
    reason = (
        f"a failure dated {run.ended_at:%Y-%m-%d %H:%M} UTC came after a run with the same or a later time, and nothing proves that it is older: "
        f"the clock of its host may be behind; rule '{rule.name}'"
    )
    return [
        OpenAlert(AlertKind.FAILED, rule, reason, run.ended_at, severity, run.message, run.event_id, 1, timedelta(0))
    ]


def _alert_severity(kind: AlertKind, run: Run) -> Severity:
    if run.severity is Severity.CRITICAL:
        return Severity.CRITICAL
    is_mild = kind is AlertKind.WARNING or (kind is AlertKind.MISSED and run.severity is Severity.WARNING)
    return Severity.WARNING if is_mild else Severity.ERROR


def _count_in_words(kind: AlertKind, in_row: int) -> str:
    """Return `a failure`, `2nd missed run in a row`."""
    words = {AlertKind.FAILED: "failure", AlertKind.WARNING: "run with warnings", AlertKind.MISSED: "missed run"}
    if in_row == 1:
        return f"a {words[kind]}"
    ending = "th" if in_row % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(in_row % 10, "th")
    return f"{in_row}{ending} {words[kind]} in a row"


def judge_overrun(
    after: Job,
    overran: Event | None,
    hangs_since: datetime | None,
    proven_until: datetime | None,
    alert: Alert | None,
    facts: Mapping[str, str],
    rules: Sequence[Rule],
) -> list[AlertChange]:
    """Judge `overrun`: opened by an event of the clock, closed once every run that took too long has ended and something is proven since.

    `hangs_since`: when the newest such run began that has not ended. `proven_until`: when the newest run of the job ended that was not
    missed and did not end unclear. Those close nothing and prevent nothing, whether they are decided on before the clock's event or after it.
    """
    began = hangs_since
    if hangs_since is None:
        if alert is not None:
            is_over = proven_until is not None and proven_until >= alert.since
            return [CloseAlert(alert, "no run takes too long any more")] if is_over else []
        began = began_of_unclear_end(after, overran, proven_until)
    if overran is None or began is None:
        return []
    if alert is not None:
        repeated = RepeatAlert(
            alert, alert.repeats + 1, overran.occurred_at, overran.message, overran.id, Severity.ERROR
        )
        return [repeated]
    rule = rule_for(AlertKind.OVERRUN, after.customer_id, facts, rules)
    if rule is None or not rule.enabled:
        return []
    reason = f"still running; rule '{rule.name}'"
    return [
        OpenAlert(
            AlertKind.OVERRUN,
            rule,
            reason,
            began,
            Severity.ERROR,
            overran.message,
            overran.id,
            1,
            timedelta(0),
        )
    ]


def began_of_unclear_end(after: Job, overran: Event | None, proven_until: datetime | None) -> datetime | None:
    """Return when the run of an overrun event began, if the newest end since then is unclear; None where a run ended or was given up."""
    text = overran.extra.get(RUN_BEGAN) if overran is not None else None
    began = datetime.fromisoformat(text) if isinstance(text, str) else None
    if began is None or after.last_finished_at is None or after.last_finished_at < began:
        return None
    return began if proven_until is None or proven_until < began else None


def judge_agent_silence(
    customer_id: str,
    silent: Event | None,
    proven_at: datetime | None,
    *,
    alert: Alert | None,
    facts: Mapping[str, str],
    rules: Sequence[Rule],
) -> list[AlertChange]:
    """Judge `agent_silent`: opened by an event of the clock, unless the agent has sent a report since that is not unclear; closed by such a one.

    `proven_at`: when the newest of these was received.
    """
    if alert is not None:
        is_over = proven_at is not None and proven_at > alert.since
        return [CloseAlert(alert, "the agent reported again")] if is_over else []
    if silent is None:
        return []
    rule = rule_for(AlertKind.AGENT_SILENT, customer_id, facts, rules)
    if rule is None or not rule.enabled:
        return []
    if proven_at is not None and proven_at > silent.occurred_at:
        return []
    reason = f"no report since {silent.occurred_at:%Y-%m-%d %H:%M} UTC; rule '{rule.name}'"
    return [
        OpenAlert(
            AlertKind.AGENT_SILENT,
            rule,
            reason,
            silent.occurred_at,
            Severity.ERROR,
            silent.message,
            silent.id,
            1,
            timedelta(0),
        )
    ]


def judge_clock(
    before: Agent, after: Agent, alert: Alert | None, facts: Mapping[str, str], rules: Sequence[Rule]
) -> list[AlertChange]:
    """Judge `clock_off`: opened once when the reports of an agent show a wrong clock, closed when they show it no more."""
    if after.clock_offset is None or after.clock_off_at is None:
        return [CloseAlert(alert, "its clock is right again")] if alert is not None else []
    rule = rule_for(AlertKind.CLOCK_OFF, after.customer_id, facts, rules)
    if before.clock_offset is not None or rule is None or not rule.enabled or alert is not None:
        return []
    message = f"{after.name}'s clock is {describe_offset(after.clock_offset)}"
    reason = f"{message}; rule '{rule.name}'"
    return [
        OpenAlert(
            AlertKind.CLOCK_OFF,
            rule,
            reason,
            after.clock_off_at,
            Severity.WARNING,
            message,
            None,
            1,
            timedelta(0),
        )
    ]
