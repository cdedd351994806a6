"""A relay: the program on a Windows mail host that sends messages by `mapi`. Pure: whose messages it sends, and whether it works."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.core.ids import new_id
from app.domain.dedupe import relay_key
from app.domain.event import Activity, Event, EventKind, RunOutcome, Severity

# The trouble of a relay is reported as a failure of this job of an agent with this prefix. The job has no schedule.
JOB, AGENT_PREFIX = ("mail relay", "relay ")
STUCK_FOR = timedelta(hours=1)  # how long a message that is stuck in the Outbox counts, unless a later one left it


@dataclass(frozen=True, slots=True)
class Relay:
    """One relay. Without `customers` and `recipients` it sends for everybody. `heartbeat` is the last one that it sent."""

    id: str
    customer_id: str
    name: str
    created_at: datetime
    customers: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    silent_after: timedelta = timedelta(minutes=5)
    oldest_after: timedelta = timedelta(minutes=15)
    paused_at: datetime | None = None
    paused_why: str | None = None
    doctor_asked_at: datetime | None = None
    seen_at: datetime | None = None
    heartbeat: Mapping[str, Any] = field(default_factory=dict)
    stuck_at: datetime | None = None
    stuck_why: str | None = None
    trouble: str | None = None
    trouble_at: datetime | None = None
    version: int = 1


def unfit(relay: Relay, oldest: datetime | None, now: datetime) -> str | None:
    """Return in words why messages must not wait for this relay; None if they may. `oldest`: when the oldest message that waits for it was created."""
    if relay.paused_at is not None:
        return f"relay {relay.name} is paused: {relay.paused_why or 'no reason given'}"
    if relay.heartbeat.get("paused_why"):
        return f"relay {relay.name} does not send: {relay.heartbeat['paused_why']}"
    if now - (relay.seen_at or relay.created_at) > relay.silent_after:
        since = f"since {relay.seen_at:%Y-%m-%d %H:%M} UTC" if relay.seen_at else "yet"
        return f"relay {relay.name} has not reported {since}"
    if oldest is not None and now - oldest > relay.oldest_after:
        return f"a message has waited for relay {relay.name} since {oldest:%Y-%m-%d %H:%M} UTC"
    return None


def trouble_of(relay: Relay, oldest: datetime | None, now: datetime) -> str | None:
    """Return in words what its administrators must know; None if it works."""
    found = unfit(relay, oldest, now)
    if found is None and relay.stuck_at is not None and now - relay.stuck_at < STUCK_FOR:
        return f"a message stuck in the Outbox of relay {relay.name}: {relay.stuck_why or 'no reason was reported'}"
    return found


def agent_of(relay: Relay) -> tuple[str, str]:
    """Return the customer and the name of the agent under which its trouble is reported."""
    return (relay.customer_id, f"{AGENT_PREFIX}{relay.name}"[:200])


def event_of(relay: Relay, agent_id: str, message: str, now: datetime, *, is_well: bool) -> Event:
    """Return the event that reports a relay as if it were a backup: trouble is a failure, its end a success."""
    return Event(
        id=new_id("evt"),
        customer_id=relay.customer_id,
        agent_id=agent_id,
        key=relay_key(relay.id, now),
        occurred_at=now,
        received_at=now,
        kind=EventKind.RELAY,
        job=JOB,
        activity=Activity.OTHER,
        outcome=RunOutcome.SUCCESS if is_well else RunOutcome.FAILURE,
        severity=Severity.INFO if is_well else Severity.ERROR,
        message=message,
    )
