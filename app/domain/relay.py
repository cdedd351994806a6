"""A relay: the program on a Windows mail host that sends messages by `mapi`. Pure: whose messages it sends, and whether it works.

Each relay has a circuit breaker. What shows that its host cannot send opens it: from then on its messages use other relays and
transports at once, and it gets one message at a time as a probe, after waits that grow. A message that is sent closes the
breaker, and so does its doctor, except for a message stuck in the Outbox: the doctor cannot see whether the Outbox drains again.
A window that was shown is not retried: a pause by `needs_ui`, as one by hand, lasts until somebody resumes the relay.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from app.domain.dedupe import relay_key
from app.domain.event import Event, EventKind
from app.domain.service_event import service_event

# The trouble of a relay is reported as a failure of this job of an agent with this prefix. The job has no schedule.
JOB, AGENT_PREFIX = ("mail relay", "relay ")
RELAY_HOLDER = "relay:"  # how the names begin under which relays hold leases
STUCK, TIMEOUT, NEEDS_UI = "stuck", "timeout", "needs_ui"
_OPENS = {
    STUCK: "a message stuck in its Outbox",
    TIMEOUT: "one timeout after the other",
    "logon_failed": "its logon failed",
    "profile_missing": "its mail profile is missing",
    "incompatible_client": "its mail client cannot be used",
    "not_tight": "with its profile mail could stay in the Outbox",
    "bitness": "its mail client and its Python differ in bitness",
}
DOCTOR_CURES = frozenset(_OPENS) - {STUCK}
TIMEOUTS_MOST = 3  # in a row: one may be a slow moment of the host
JAM_AFTER = timedelta(seconds=30)  # for one message; one takes about a second
# From one probe to the next. A wrong password is tried this often, too: an account is usually locked by ten within half an hour.
_PROBE_WAITS_S = (60, 120, 300, 600, 1200, 1800, 3600)
_ONE_PROBE = timedelta(minutes=10)  # longer than a relay takes for one message; then the next may go without its result
# Without a test address nothing may wait that could be a probe. After this time one message that has another way is tried.
ANY_IS_PROBE_AFTER = timedelta(hours=1)


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
    test_address: str | None = None
    paused_at: datetime | None = None
    paused_why: str | None = None
    doctor_asked_at: datetime | None = None
    seen_at: datetime | None = None
    heartbeat: Mapping[str, Any] = field(default_factory=dict)
    broken_at: datetime | None = None
    broken_by: str | None = None
    broken_why: str | None = None
    probe_at: datetime | None = None
    failures: int = 0
    timeouts: int = 0
    trouble: str | None = None
    trouble_at: datetime | None = None
    version: int = 1


def after_failure(relay: Relay, outcomes: frozenset[str], reason: str, now: datetime) -> Relay:
    """Return the relay after a message that it did not send. `outcomes`: the outcome, and its cause if the message is in doubt."""
    if NEEDS_UI in outcomes:
        why = f"a window opened: {reason}"[:1000]
        return relay if relay.paused_at else replace(relay, paused_at=now, paused_why=why, doctor_asked_at=now)
    timeouts = relay.timeouts + 1 if TIMEOUT in outcomes else relay.timeouts
    found = next((one for one in _OPENS if one in outcomes), None)
    if found is None or (found == TIMEOUT and timeouts < TIMEOUTS_MOST and relay.broken_at is None):
        return replace(relay, timeouts=timeouts)
    # Stuck stays the cause until a message has left: another failure of a probe does not show that the Outbox drains.
    is_stuck = relay.broken_by == STUCK
    return replace(
        relay,
        timeouts=timeouts,
        broken_at=relay.broken_at or now,
        broken_by=STUCK if is_stuck else found,
        broken_why=relay.broken_why if is_stuck and found != STUCK else f"{_OPENS[found]}: {reason}"[:1000],
        failures=relay.failures + 1,
        probe_at=now + timedelta(seconds=_PROBE_WAITS_S[min(relay.failures, len(_PROBE_WAITS_S) - 1)]),
        doctor_asked_at=now if found in DOCTOR_CURES else relay.doctor_asked_at,
    )


def after_sent(relay: Relay) -> Relay:
    """Return the relay after a message that it sent: its breaker is closed."""
    return replace(_closed(relay), failures=0, timeouts=0)


def after_doctor(relay: Relay, now: datetime) -> Relay:
    """Return the relay after its heartbeat: closed if its doctor, asked since the breaker opened, finds nothing that fails.

    The failures are kept: if the next message fails although the doctor is content, it is believed only when a probe is due.
    """
    heard, asked = relay.heartbeat, relay.doctor_asked_at
    if relay.broken_by not in DOCTOR_CURES or asked is None or heard.get("answers") != asked.isoformat():
        return relay
    lines = heard.get("doctor") or ()
    is_well = bool(lines) and not heard.get("paused_why") and all(line.get("state") != "fail" for line in lines)
    is_due = relay.failures <= 1 or relay.probe_at is None or relay.probe_at <= now
    return replace(_closed(relay), timeouts=0) if is_well and is_due else relay


def after_resume(relay: Relay, now: datetime) -> Relay:
    """Return the relay as somebody lets it send again, whatever kept it from sending; its doctor is asked."""
    return replace(after_sent(relay), paused_at=None, paused_why=None, doctor_asked_at=now)


def probing(relay: Relay, now: datetime) -> Relay:
    """Return the relay after it got a probe: the next one waits for its result."""
    return replace(relay, probe_at=now + _ONE_PROBE)


def is_probe_due(relay: Relay, now: datetime) -> bool:
    """Return whether the breaker is open and one message may try whether the relay sends again."""
    return relay.broken_at is not None and relay.probe_at is not None and relay.probe_at <= now


def may_send(relay: Relay, now: datetime) -> bool:
    """Return whether the relay may get a message: any, or a probe."""
    return relay.paused_at is None and (relay.broken_at is None or is_probe_due(relay, now))


def keeps_from_sending(relay: Relay) -> bool:
    """Return whether it gets no messages but probes."""
    return relay.paused_at is not None or relay.broken_at is not None


def _closed(relay: Relay) -> Relay:
    return replace(relay, broken_at=None, broken_by=None, broken_why=None, probe_at=None)


def is_awaited(relay: Relay, now: datetime) -> bool:
    """Return whether the relay was added a short time ago and has not reported yet: nothing proves that it works, or that it does not."""
    is_new = relay.seen_at is None and now - relay.created_at <= relay.silent_after
    return is_new and relay.paused_at is None and relay.broken_at is None and relay.trouble is None


def unfit(relay: Relay, oldest: datetime | None, now: datetime) -> str | None:
    """Return in words why messages must not wait for this relay; None if they may. `oldest`: when the oldest message that waits for it was created."""
    if relay.paused_at is not None:
        return f"relay {relay.name} is paused: {relay.paused_why or 'no reason given'}"
    if relay.broken_at is not None:
        return f"relay {relay.name} cannot send since {relay.broken_at:%Y-%m-%d %H:%M} UTC: {relay.broken_why}"
    if relay.heartbeat.get("paused_why"):
        return f"relay {relay.name} does not send: {relay.heartbeat['paused_why']}"
    if now - (relay.seen_at or relay.created_at) > relay.silent_after:
        since = f"since {relay.seen_at:%Y-%m-%d %H:%M} UTC" if relay.seen_at else "yet"
        return f"relay {relay.name} has not reported {since}"
    if oldest is not None and now - oldest > relay.oldest_after:
        return f"a message has waited for relay {relay.name} since {oldest:%Y-%m-%d %H:%M} UTC"
    return None


def jam_of(relay: Relay, sending_since: datetime | None, now: datetime) -> str | None:
    """Return in words why nothing may wait behind the message that it sends since then; None if it does not take long.

    This is no trouble yet: the host may be slow. But a relay sends one message at a time, and an alert must not wait for a slow one.
    """
    if sending_since is None or now - sending_since <= JAM_AFTER:
        return None
    return f"relay {relay.name} is busy with one message since {sending_since:%H:%M:%S} UTC"


def agent_of(relay: Relay) -> tuple[str, str]:
    """Return the customer and the name of the agent under which its trouble is reported."""
    return (relay.customer_id, f"{AGENT_PREFIX}{relay.name}"[:200])


def event_of(relay: Relay, agent_id: str, message: str, now: datetime, *, is_well: bool) -> Event:
    """Return the event that reports a relay as if it were a backup: trouble is a failure, its end a success."""
    of, key = (relay.customer_id, agent_id), relay_key(relay.id, now)
    return service_event(of, key, JOB, message, now, is_well=is_well, kind=EventKind.RELAY)
