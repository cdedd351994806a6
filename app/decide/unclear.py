"""Decide on alerts for texts that prove neither success nor failure. Pure.

Each form of text (domain/text_form.py) of a job has one alert. An unclear run closes no alert. A run is proven if it ended with
success, warning or failure. An unclear alert closes when a proven run of the job ended later, because that run shows how the job
is, or when an administrator answered what the text means. Where a later report changes that proven run to one that proves nothing,
the alert opens again. The order in which events arrive does not matter: an unclear run opens
no alert if a proven run with a later end is known already.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta

from app.decide.rules import AlertChange, CloseAlert, OpenAlert, RepeatAlert, rule_for
from app.domain.alert import Alert, AlertKind, Rule
from app.domain.event import RunOutcome, Severity
from app.domain.job import Job
from app.domain.run import Run
from app.domain.unclear import UnclearHistory

# A form that was reported before is reported again only if no proven run follows. Otherwise a job that sends both a clear and an
# unclear text each night would be mailed about each night.
WAIT_FOR_PROOF = timedelta(hours=24)
REMEMBERED = timedelta(days=90)


def judge_unclear(
    job: Job,
    fresh: AbstractSet[str],
    history: UnclearHistory,
    opened: Mapping[str, Alert],
    before: AbstractSet[str],
    facts: Mapping[str, str],
    rules: Sequence[Rule],
) -> list[AlertChange]:
    """Judge the unclear runs of a job. `fresh`: ids of the runs that ended unclear just now; `opened`: its open alerts by form.

    `before`: the forms for which this job has a closed alert.
    """
    changes: list[AlertChange] = []
    by_form: dict[str, list[Run]] = {}
    for text in history.texts:
        by_form.setdefault(text.form, []).append(text.run)
    for form, runs in by_form.items():
        asks_again = form not in opened
        new = [run for run in runs if run.id in fresh or (asks_again and history.lost_its_answer(run))]
        if not new:
            continue
        newest = runs[-1]
        severity = Severity.CRITICAL if newest.severity is Severity.CRITICAL else Severity.WARNING
        rule = rule_for(AlertKind.UNCLEAR, job.customer_id, {**facts, "message": newest.message or ""}, rules)
        alert, ended_at = opened.get(form), newest.ended_at or job.created_at
        if alert is not None:
            changes.append(
                RepeatAlert(alert, alert.repeats + len(new), ended_at, newest.message, newest.event_id, severity)
            )
        elif rule is not None and rule.enabled and len(runs) >= rule.after_in_row:
            hold, reason = rule.retry_within, f"its text proves neither success nor failure; rule '{rule.name}'"
            if form in before:
                hold = max(hold, WAIT_FOR_PROOF)
                reason = f"a text of this form came again, and no clear run followed; rule '{rule.name}'"
            if severity is Severity.CRITICAL:
                hold = timedelta(0)
            counted = new if form in before else runs
            since = counted[0].ended_at or job.created_at
            changes.append(
                OpenAlert(
                    AlertKind.UNCLEAR,
                    rule,
                    reason,
                    since,
                    severity,
                    newest.message,
                    newest.event_id,
                    len(counted),
                    hold,
                    form,
                )
            )
    for form, alert in opened.items():
        if form not in by_form and (why := _answer(alert, history)):
            changes.append(CloseAlert(alert, why))
    return changes


def _answer(alert: Alert, history: UnclearHistory) -> str:
    """Return why an alert can be closed; an empty text if it cannot."""
    run, proven = history.of_alerts.get(alert.event_id or ""), history.proven
    if run is not None and run.outcome is not RunOutcome.UNCLEAR:
        return f"an answer or a later report shows that this run ended with outcome {run.outcome}"
    if proven is not None and (run is None or history.is_answered(run)):
        return f"a later run ended clearly, with outcome {proven.outcome}"
    return ""
