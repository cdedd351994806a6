"""Decides whether an alert opens, repeats or closes, and says why. Pure: states before and after in, verdicts out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.alert import Alert, AlertKind, Rule
from app.domain.event import Event, RunOutcome, Severity
from app.domain.job import Job
from app.domain.matcher import all_match
from app.domain.run import Run


@dataclass(frozen=True, slots=True)
class Open:
    """An alert opens. `hold`: for how long a success closes it unheard."""

    kind: AlertKind
    rule: Rule
    reason: str
    since: datetime
    severity: Severity
    message: str | None
    event_id: str | None
    in_row: int
    hold: timedelta


@dataclass(frozen=True, slots=True)
class Repeat:
    """An open alert is seen again; nobody is told for that alone."""

    alert: Alert
    repeats: int
    last_at: datetime
    message: str | None
    event_id: str | None
    severity: Severity


@dataclass(frozen=True, slots=True)
class Close:
    """An alert closes."""

    alert: Alert
    reason: str


Verdict = Open | Repeat | Close
_COUNTED = {
    AlertKind.FAILED: RunOutcome.FAILURE,
    AlertKind.MISSED: RunOutcome.MISSED,
    AlertKind.WARNING: RunOutcome.WARNING,
}


def rule_for(kind: AlertKind, customer_id: str, facts: Mapping[str, str], rules: Sequence[Rule]) -> Rule | None:
    """Give the first rule for this kind that matches; a disabled one too, for it says that nothing opens."""
    for rule in rules:
        if (
            rule.kind is kind
            and rule.customer_id in (None, customer_id)
            and all_match(rule.matchers, {**facts, "kind": kind})
        ):
            return rule
    return None


def judge_rows(
    before: Job,
    after: Job,
    runs: Sequence[Run],
    opened: Mapping[AlertKind, Alert],
    facts: Mapping[str, str],
    rules: Sequence[Rule],
) -> list[Verdict]:
    """Judge the three kinds that count in a row. `runs`: the ended runs that brought `after` about, newest last."""
    verdicts: list[Verdict] = []
    for kind, in_row, was in (
        (AlertKind.FAILED, after.failures_in_row, before.failures_in_row),
        (AlertKind.MISSED, after.missed_in_row, before.missed_in_row),
        (AlertKind.WARNING, after.warnings_in_row, before.warnings_in_row),
    ):
        rule = rule_for(kind, after.customer_id, facts, rules)
        alert = opened.get(kind)
        run = next((run for run in reversed(runs) if run.outcome is _COUNTED[kind]), None)
        least = 1 if rule is None else rule.after_in_row
        if alert is not None and (in_row == 0 or (in_row < was and in_row < least)):
            verdicts.append(Close(alert, _why_closed(kind, after, in_row)))
        elif run is None or not (in_row > was or _is_newest(kind, before, after)):
            continue  # what happened concerns another kind: an alert that an admin closed stays closed
        elif alert is not None:
            verdicts.append(
                Repeat(
                    alert,
                    in_row - 1,
                    run.ended_at or alert.last_at,
                    run.message,
                    run.event_id,
                    _worst(kind, run),
                )
            )
        elif rule is not None and rule.enabled and in_row >= least:
            verdicts.append(_open(kind, rule, after, run, in_row))
    return verdicts


def _is_newest(kind: AlertKind, before: Job, after: Job) -> bool:
    return after.last_run_id != before.last_run_id and after.last_outcome is _COUNTED[kind]


def _open(kind: AlertKind, rule: Rule, job: Job, run: Run, in_row: int) -> Open:
    severity = _worst(kind, run)
    since = run.ended_at or job.created_at
    if kind is not AlertKind.WARNING and job.failing_since is not None:
        since = job.failing_since
    # What an agent calls critical is told at once: a retry may come too late.
    hold = timedelta(0) if severity is Severity.CRITICAL else rule.retry_within
    return Open(kind, rule, _reason(kind, in_row, rule), since, severity, run.message, run.event_id, in_row, hold)


def _worst(kind: AlertKind, run: Run) -> Severity:
    if run.severity is Severity.CRITICAL:
        return Severity.CRITICAL
    is_mild = kind is AlertKind.WARNING or (kind is AlertKind.MISSED and run.severity is Severity.WARNING)
    return Severity.WARNING if is_mild else Severity.ERROR


def _reason(kind: AlertKind, in_row: int, rule: Rule) -> str:
    words = {AlertKind.FAILED: "failure", AlertKind.WARNING: "run with warnings", AlertKind.MISSED: "missed run"}
    count = f"{_ordinal(in_row)} {words[kind]} in a row" if in_row > 1 else f"a {words[kind]}"
    return f"{count}; rule '{rule.name}'"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _why_closed(kind: AlertKind, job: Job, in_row: int) -> str:
    if in_row:
        return f"with a late report there are only {in_row} in a row"
    if kind is AlertKind.MISSED:
        return "it ran"
    return f"ran with outcome {job.last_outcome}"


def judge_overrun(
    after: Job, overran: Event | None, alert: Alert | None, facts: Mapping[str, str], rules: Sequence[Rule]
) -> list[Verdict]:
    """Judge `overrun`: opened by the clock's word, closed as soon as no run of the job is under way."""
    if after.running_since is None:
        return [Close(alert, "no run is under way any more")] if alert is not None else []
    rule = rule_for(AlertKind.OVERRUN, after.customer_id, facts, rules)
    if overran is None or rule is None or not rule.enabled or alert is not None:
        return []
    reason = f"still running; rule '{rule.name}'"
    return [
        Open(
            AlertKind.OVERRUN,
            rule,
            reason,
            after.running_since,
            Severity.ERROR,
            overran.message,
            overran.id,
            1,
            timedelta(0),
        )
    ]


def judge_silence(
    customer_id: str,
    silent: Event | None,
    *,
    heard: bool,
    alert: Alert | None,
    facts: Mapping[str, str],
    rules: Sequence[Rule],
) -> list[Verdict]:
    """Judge `agent_silent`: opened by the clock's word, closed by any word of the agent."""
    if heard:
        return [Close(alert, "the agent was heard again")] if alert is not None else []
    rule = rule_for(AlertKind.AGENT_SILENT, customer_id, facts, rules)
    if silent is None or rule is None or not rule.enabled or alert is not None:
        return []
    reason = f"nothing heard since {silent.occurred_at:%Y-%m-%d %H:%M} UTC; rule '{rule.name}'"
    return [
        Open(
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
