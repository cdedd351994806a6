"""Gives an event its shape: the row that is stored, in our words and within our bounds. Pure but for the id that it draws."""

from dataclasses import dataclass
from datetime import datetime

from app.core.errors import BadInput
from app.core.ids import new_id
from app.domain.dedupe import content_key
from app.domain.event import Activity, RunOutcome, Severity
from app.intake import fields
from app.intake.parse import WireEvent
from app.store.intake import NewEvent

_SEVERITY_OF = {RunOutcome.FAILURE.value: Severity.ERROR.value, RunOutcome.WARNING.value: Severity.WARNING.value}


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose events these are. Under an enrolment key agent and id are None: each event names its own."""

    customer_id: str
    agent_id: str | None = None
    agent: str | None = None


def agent_of(event: WireEvent, sender: Sender) -> str:
    """Name the agent of an event. Raises BadInput if it names none, or another than the sender's key does."""
    given = event.get("agent")
    named = given if given == sender.agent else fields.name(given, "agent")
    if sender.agent is None:
        if named is None:
            raise BadInput(
                "agent: an event sent with an enrolment key names its agent", code="agent_missing", field="agent"
            )
        return named
    if named is not None and named != sender.agent:
        raise BadInput(
            f"agent: this key is of {sender.agent!r}, not of {named!r}", code="agent_mismatch", field="agent"
        )
    return sender.agent


def shape(
    event: WireEvent,
    customer_id: str,
    agent_id: str,
    agent: str,
    received_at: datetime,
    log_limit: int,
    *,
    was_replaced: bool,
) -> NewEvent:
    """Give the row of an event. Raises BadInput with the field and a stable code."""
    flags = ["text_replaced"] if was_replaced else []
    outcome = fields.outcome(event.get("outcome"))
    said = (
        fields.name(event.get("job"), "job"),
        fields.name(event.get("run"), "run"),
        fields.word(event.get("activity"), "activity", fields.ACTIVITIES) or Activity.BACKUP.value,
        fields.word(event.get("phase"), "phase", fields.PHASES),
        outcome,
        fields.word(event.get("severity"), "severity", fields.SEVERITIES)
        or _SEVERITY_OF.get(outcome or "", Severity.INFO.value),
    )
    occurred_at = fields.moment(event.get("occurred_at"), received_at, flags)
    texts = (fields.message(event.get("message"), flags), fields.log(event.get("log"), log_limit, flags))
    metrics, labels = fields.metrics(event.get("metrics")), fields.labels(event.get("labels"))
    found = fields.extra_of(event)
    key = fields.key(event.get("key")) or _key_of(event, agent, occurred_at, said, texts, found)
    return NewEvent(
        new_id("evt"),
        customer_id,
        agent_id,
        key,
        *said,
        occurred_at,
        received_at,
        *texts,
        metrics,
        labels,
        fields.extra_json(found, flags),
        fields.flags_json(flags),
    )


def _key_of(event: WireEvent, agent: str, occurred_at: datetime, *said: object) -> str:
    """Make a key of the content.

    When we received it stands in for a time not given: two equal events at different times stay two events. The price:
    sent again without key and time, an event cannot be told from a second one.
    """
    content = (agent, occurred_at.isoformat(), *said[:2], event.get("metrics"), event.get("labels"), *said[2:])
    return content_key(fields.canonical(content))
