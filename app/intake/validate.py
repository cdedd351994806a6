"""Validate an event and build the row that is stored. Pure, except that it draws a new id."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic_core import to_json

from app.core.errors import BadInput
from app.core.ids import new_id
from app.domain import relay
from app.domain.dedupe import content_key
from app.domain.enrolment import EnrolmentLimits
from app.domain.event import Activity, Phase, RunOutcome, Severity
from app.domain.service_event import AGENT
from app.intake import fields
from app.intake.budgets import SenderKey
from app.intake.clocks import correct_time, find_offset
from app.intake.parse import WireEvent
from app.store.intake import NewEvent

_BACKUP, _FINISHED, _INFO = Activity.BACKUP.value, Phase.FINISHED.value, Severity.INFO.value
# What a sender states in a word or kind that is not ours, in an event without an outcome: it may be the end of a run.
_UNKNOWN_END = frozenset({"unknown_phase", "unknown_severity", "outcome_ignored", "phase_ignored", "severity_ignored"})
_SEVERITY_BY_OUTCOME = {
    RunOutcome.FAILURE.value: Severity.ERROR.value,
    RunOutcome.WARNING.value: Severity.WARNING.value,
    RunOutcome.UNCLEAR.value: Severity.WARNING.value,
}


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose events these are. Under an enrolment key, agent and id are None: each event names its agent. `key` None: without budgets."""

    customer_id: str
    agent_id: str | None = None
    agent: str | None = None
    limits: EnrolmentLimits | None = None  # of the enrolment key
    key: SenderKey | None = None


def resolve_agent_name(event: WireEvent, sender: Sender) -> str:
    """Return the name of an event's agent. Raises BadInput if there is none, or if it is not the agent of the sender's key."""
    value = event.get("agent")
    name = value if value == sender.agent else fields.limit_name(value)
    if sender.agent is None:
        if name is None:
            raise BadInput(
                "agent: required in an event that is sent with an enrolment key", code="agent_missing", field="agent"
            )
        return keep_own_names(name, event.get("job"))
    # An agent may be older than the normal form of names.
    if name is not None and name not in (sender.agent, fields.limit_name(sender.agent)):
        raise BadInput(
            f"agent: this key belongs to {sender.agent!r}, not to {name!r}", code="agent_mismatch", field="agent"
        )
    return sender.agent


def keep_own_names(agent: str, job: str | None) -> str:
    """Return the name under which an agent is stored: another one if it is ours.

    Otherwise a sender could report in our name that mail arrives, or that its own flood is over, and so close the alert about it.
    """
    is_ours = agent == AGENT or (agent.startswith(relay.AGENT_PREFIX) and job == relay.JOB)
    return f"{agent[:180]} (reported)" if is_ours else agent


def validate_event(
    event: WireEvent,
    customer_id: str,
    agent_id: str,
    agent: str,
    received_at: datetime,
    log_limit: int,
    *,
    flags: Sequence[str] = (),
    first_at: datetime | None = None,
) -> NewEvent:
    """Return the row of an event, with more flags for what is altered here. `first_at`: when it was first received, if before."""
    flags = list(flags)
    outcome = fields.validate_outcome(event.get("outcome"), flags)
    phase = fields.validate_word(event.get("phase"), "phase", fields.PHASES, flags)
    severity = fields.validate_word(event.get("severity"), "severity", fields.SEVERITIES, flags)
    if outcome is None and (_UNKNOWN_END.intersection(flags) or (phase == _FINISHED and severity is None)):
        outcome = RunOutcome.UNCLEAR.value  # it may have ended, and nothing says how
    job, run = fields.validate_name(event.get("job"), flags), fields.validate_name(event.get("run"), flags)
    activity = fields.validate_word(event.get("activity"), "activity", fields.ACTIVITIES, flags) or _BACKUP
    severity = severity or _SEVERITY_BY_OUTCOME.get(outcome or "", _INFO)
    claimed = fields.validate_time(event.get("occurred_at"), flags)
    sent_at = fields.validate_sent_at(event.get("sent_at"), flags)
    offset = find_offset(sent_at, received_at)
    occurred_at = correct_time(claimed, offset, received_at, flags)
    message, log = (
        fields.limit_message(event.get("message"), flags),
        fields.limit_log(event.get("log"), log_limit, flags),
    )
    metrics = fields.validate_metrics(event.get("metrics"), flags)
    labels = fields.validate_labels(event.get("labels"), flags)
    extra = fields.collect_extra(event)
    key = fields.validate_key(event.get("key"), flags)
    if key is None:
        facts = (job, run, activity, phase, outcome, severity)
        key = _make_content_key(event, agent, claimed or first_at or received_at, facts, (message, log), extra)
    if sent_at is not None:
        extra = {**fields.describe_clock(sent_at, offset), **(extra or {})}
    extra_json = fields.extra_to_json(extra, flags)
    return NewEvent(
        new_id("evt"),
        customer_id,
        agent_id,
        key,
        job,
        run,
        activity,
        phase,
        outcome,
        severity,
        occurred_at,
        received_at,
        message,
        log,
        metrics,
        labels,
        extra_json,
        to_json(list(dict.fromkeys(flags))).decode() if flags else None,
    )


def _make_content_key(event: WireEvent, agent: str, claimed: datetime, *facts: object) -> str:
    """Return a key made from the content of an event.

    The time of receipt stands in for a time that was not sent, so two equal events at different times stay two events. The cost:
    an event without key and time that is sent again counts as a second event.
    """
    content = (agent, claimed.isoformat(), *facts[:2], event.get("metrics"), event.get("labels"), *facts[2:])
    return content_key(fields.canonical_json(content))
