"""Store the answer of an administrator to what a text means: for this text, and for every text of its form."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.admin import editing
from app.admin.audit import note
from app.admin.editing import Editor
from app.admin.mail_rules import create_mail_rule
from app.core.errors import Conflict
from app.core.ids import new_id
from app.domain.dedupe import TAUGHT, taught_key, taught_rule_name
from app.domain.event import (
    READING,
    STATUS_FIELD,
    TAUGHT_EVENT,
    TAUGHT_RUN,
    Event,
    EventKind,
    Phase,
    RunOutcome,
    Severity,
    job_of,
)
from app.domain.mail_rule import MailRule
from app.domain.run import run_key_of
from app.store.alerts import close_alerts
from app.store.events import insert_clock_events
from app.store.mail_rules import MAIL_RULES, taught_rules
from app.store.notices import suppress_waiting
from app.store.transactions import WriteTx
from app.store.unclear import ReportedText, find_reported_text, find_unclear_texts, lock_unclear_alerts

_POSITION = (
    50  # before the rules that administrators write (100 by default), because a taught rule compares the whole text
)
_SEVERITIES = {RunOutcome.FAILURE: Severity.ERROR, RunOutcome.WARNING: Severity.WARNING}


@dataclass(frozen=True, slots=True)
class Lesson:
    """What an answer changed: the rule for later texts, the events whose runs have an outcome now, and the alerts that were closed."""

    rule: MailRule
    event_ids: tuple[str, ...]
    alert_ids: tuple[str, ...]


async def teach_event(tx: WriteTx, event_id: str, outcome: RunOutcome, name: str | None, by: Editor) -> Lesson:
    """Store what the text of an event means, apply it to the unanswered texts of the same form, and close their alerts.

    Events are immutable, so each run gets its outcome by a new event of ours. The same answer again changes nothing.
    Raises NotFound, and Conflict with the code `not_from_words`, `no_text`, or `conflict` where the name is taken.
    """
    asked = await find_reported_text(tx, event_id)
    event, form = asked.event, asked.form
    reading = (event.extra or {}).get(READING)
    rule_name = reading.get("rule") if isinstance(reading, Mapping) else None
    if event.kind is not EventKind.REPORT or (
        event.outcome is not RunOutcome.UNCLEAR and (rule_name is None or rule_name == STATUS_FIELD)
    ):
        raise Conflict(
            "the outcome of this event was stated in a field, not read from words, so there is no text to teach",
            code="not_from_words",
        )
    if not any(
        letter.isalpha() for letter in form.subject + form.body
    ):  # a rule made from a number alone would match every number
        raise Conflict(
            "this event has no words, so a later text of the same form could not be recognized", code="no_text"
        )
    rule = await _keep_rule(tx, asked, outcome, name, by)
    opened = await lock_unclear_alerts(tx, event.customer_id, form.key)
    of_jobs = {alert.subject_id for alert in opened} | ({asked.run.job_id} if asked.run is not None else set())
    texts = {text.event.id: text for text in await find_unclear_texts(tx, of_jobs, form.key)} | {event_id: asked}
    made = [_taught_event(text, outcome, rule, by) for _, text in sorted(texts.items()) if not _is_known(text, outcome)]
    await insert_clock_events(tx, made)
    reason = f"taught: means {outcome.value}"
    await close_alerts(tx, [(alert, reason) for alert in opened], by.at)
    await suppress_waiting(tx, {alert.id: reason for alert in opened})
    lesson = Lesson(rule, tuple(str(event.extra[TAUGHT_EVENT]) for event in made), tuple(alert.id for alert in opened))
    if lesson.event_ids or lesson.alert_ids:
        change = {"outcome": outcome.value, "mail_rule": rule.id, "events": len(made), "alerts": len(opened)}
        await note(tx, by.who, by.at, "teach", "event", event_id, change)
    tx.after_commit(lambda: by.wake("events"))
    return lesson


async def _keep_rule(tx: WriteTx, asked: ReportedText, outcome: RunOutcome, name: str | None, by: Editor) -> MailRule:
    """Return the rule for texts of this form. It is created if there is none, and changed if it has another outcome or is disabled."""
    form, customer_id = asked.form, asked.event.customer_id
    for known in await taught_rules(tx, customer_id):
        if known.form.key == form.key:
            before = await editing.lock(tx, MAIL_RULES, known.id)
            after = replace(before, outcome=outcome, enabled=True, name=name or before.name)
            return before if after == before else await editing.save(tx, MAIL_RULES, before, after, by)
    rule = MailRule(
        id=new_id("mrl"),
        subject=form.subject or None,
        body=form.body or None,
        outcome=outcome,
        name=name or taught_rule_name(customer_id, form.subject or form.body, form.key),
        customer_id=customer_id,
        position=_POSITION,
        created_at=by.at,
        taught_from=asked.event.outcome or RunOutcome.UNCLEAR,
    )
    return await create_mail_rule(tx, rule, by)


def _is_known(text: ReportedText, outcome: RunOutcome) -> bool:
    """Return whether the run of a text has this outcome already, by an earlier answer."""
    run = text.run
    return run is not None and run.outcome is outcome and (run.decided_by or "").startswith(TAUGHT)


def _taught_event(text: ReportedText, outcome: RunOutcome, rule: MailRule, by: Editor) -> Event:
    """Return the event that sets the outcome of a text's run. It has the time at which the run ended, so that the order of runs stays."""
    of = text.event
    # The stored event, with the fields from which its job and its run were determined.
    reported = Event(
        id=of.id,
        customer_id=of.customer_id,
        agent_id=of.agent_id,
        key=of.key,
        occurred_at=of.occurred_at,
        received_at=by.at,
        kind=of.kind,
        job=of.job,
        run=of.run,
        activity=of.activity,
        phase=of.phase,
        outcome=of.outcome,
        severity=of.severity,
    )
    ended_at = text.run.ended_at if text.run is not None else None
    return Event(
        id=new_id("evt"),
        customer_id=of.customer_id,
        agent_id=of.agent_id,
        key=taught_key(of.id, by.at),
        occurred_at=ended_at or of.occurred_at,
        received_at=by.at,
        kind=EventKind.TAUGHT,
        job=job_of(reported) or of.activity.value,
        run=of.run,
        activity=of.activity,
        phase=Phase.FINISHED,
        outcome=outcome,
        severity=_SEVERITIES.get(outcome, Severity.INFO),
        message=of.message,
        metrics=of.metrics or {},
        extra={TAUGHT_RUN: run_key_of(reported), TAUGHT_EVENT: of.id, "mail_rule": rule.id, "by": by.who},
    )
