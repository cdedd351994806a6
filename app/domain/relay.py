"""A relay: the program on a Windows mail host that sends what goes by `mapi`. Pure: whose messages it sends, and whether it is well."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.core.ids import new_id
from app.domain.dedupe import relay_key
from app.domain.event import Activity, Event, EventKind, RunOutcome, Severity

JOB, AGENT_BEGINS = (
    "mail relay",
    "relay ",
)  # as which its trouble is told; such a job comes when it must, and is expected never
STUCK_FOR = timedelta(hours=1)  # so long one message that stuck in the Outbox counts, unless another left it since


@dataclass(frozen=True, slots=True)
class Relay:
    """One relay. Without `customers` and `recipients` it sends for everybody. `said` is its last heartbeat."""

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
    said: Mapping[str, Any] = field(default_factory=dict)
    stuck_at: datetime | None = None
    stuck_why: str | None = None
    trouble: str | None = None
    trouble_at: datetime | None = None


def unfit(relay: Relay, oldest: datetime | None, now: datetime) -> str | None:
    """Say in words why messages must not wait for this relay; None if they may. `oldest`: of those that wait for it."""
    if relay.paused_at is not None:
        return f"relay {relay.name} is paused: {relay.paused_why or 'no reason given'}"
    if relay.said.get("paused_why"):
        return f"relay {relay.name} does not send: {relay.said['paused_why']}"
    if now - (relay.seen_at or relay.created_at) > relay.silent_after:
        since = f"since {relay.seen_at:%Y-%m-%d %H:%M} UTC" if relay.seen_at else "yet"
        return f"relay {relay.name} was not heard of {since}"
    if oldest is not None and now - oldest > relay.oldest_after:
        return f"a message has waited for relay {relay.name} since {oldest:%Y-%m-%d %H:%M} UTC"
    return None


def trouble_of(relay: Relay, oldest: datetime | None, now: datetime) -> str | None:
    """Say in words what its administrators must hear; None if it is well."""
    found = unfit(relay, oldest, now)
    if found is None and relay.stuck_at is not None and now - relay.stuck_at < STUCK_FOR:
        return f"a message stuck in the Outbox of relay {relay.name}: {relay.stuck_why or 'it said no more'}"
    return found


def agent_of(relay: Relay) -> tuple[str, str]:
    """Give the customer and the name of the agent as which its trouble is told."""
    return (relay.customer_id, f"{AGENT_BEGINS}{relay.name}"[:200])


def event_of(relay: Relay, agent_id: str, message: str, now: datetime, *, is_well: bool) -> Event:
    """Tell of a relay as of a backup: its trouble is a failure, the end of it a success."""
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
