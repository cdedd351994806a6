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
    job_name_of,
)
from app.domain.mail_rule import MailRule
from app.domain.run import run_key_of
from app.store.alerts import close_alerts
from app.store.events import (
    ReportedText,
    find_reported_text,
    find_unclear_alerts,
    find_unclear_texts,
    insert_clock_events,
    lock_open_alerts,
)
from app.store.mail_rules import MAIL_RULES, taught_rules
from app.store.notices import suppress_waiting
from app.store.transactions import Database, WriteTx

_POSITION = (
    50  # before the rules that administrators write (100 by default), because a taught rule compares the whole text
)
_TOGETHER = 50  # texts, or alerts, in one transaction
_SEVERITIES = {RunOutcome.FAILURE: Severity.ERROR, RunOutcome.WARNING: Severity.WARNING}


@dataclass(frozen=True, slots=True)
class Lesson:
    """What an answer changed: the rule for later texts, the events whose runs have an outcome now, and the alerts that were closed."""

    rule: MailRule
    event_ids: tuple[str, ...]
    alert_ids: tuple[str, ...]


async def teach_event(database: Database, event_id: str, outcome: RunOutcome, name: str | None, by: Editor) -> Lesson:
    """Store what the text of an event means, apply it to the unanswered texts of the same form, and close their alerts.

    Events are immutable, so each run gets its outcome by a new event of ours. The same answer again changes nothing, and completes one
    that was cut off: a part of the texts shares a transaction and an audit entry, so that nobody who writes waits long.
    Raises NotFound, and Conflict with the code `not_from_words`, `no_text`, or `conflict` where the name is taken.
    """
    async with database.read() as tx:
        asked = await find_reported_text(tx, event_id)
        _check_has_words(asked)
        opened = await find_unclear_alerts(tx, asked.event.customer_id, asked.form.key)
        of_jobs = {alert.subject_id for alert in opened} | ({asked.run.job_id} if asked.run is not None else set())
        texts = {text.event.id: text for text in await find_unclear_texts(tx, of_jobs, asked.form.key)}
    unknown = [text for _, text in sorted((texts | {event_id: asked}).items()) if not _is_known(text, outcome)]
    rule: MailRule | None = None
    taught: list[str] = []
    closed: list[str] = []
    for start in range(0, max(len(unknown), len(opened), 1), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        async with database.write() as tx:
            rule = rule or await _keep_rule(tx, asked, outcome, name, by)
            await insert_clock_events(tx, [_taught_event(text, outcome, rule, by) for text in unknown[part]])
            still_open = await lock_open_alerts(tx, [alert.id for alert in opened[part]])
            reason = f"taught: means {outcome.value}"
            await close_alerts(tx, [(alert, reason) for alert in still_open], by.at)
            await suppress_waiting(tx, {alert.id: reason for alert in still_open})
            alert_ids = [alert.id for alert in still_open]
            if unknown[part] or alert_ids:
                counts = {"events": len(unknown[part]), "alerts": len(alert_ids)}
                change = {"outcome": outcome.value, "mail_rule": rule.id, **counts}
                await note(tx, by, "teach", "event", event_id, change)
            tx.after_commit(lambda: by.wake("events"))
        taught += [text.event.id for text in unknown[part]]
        closed += alert_ids
    assert rule is not None  # noqa: S101  (the loop runs at least once)
    return Lesson(rule, tuple(taught), tuple(closed))


def _check_has_words(asked: ReportedText) -> None:
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
        job=job_name_of(reported) or of.activity.value,
        run=of.run,
        activity=of.activity,
        phase=Phase.FINISHED,
        outcome=outcome,
        severity=_SEVERITIES.get(outcome, Severity.INFO),
        message=of.message,
        metrics=of.metrics or {},
        extra={TAUGHT_RUN: run_key_of(reported), TAUGHT_EVENT: of.id, "mail_rule": rule.id, "by": by.who},
    )
