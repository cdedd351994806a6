"""A canary: a small mail that we send to ourselves once a day by each way (a transport, or one relay), to see that mail arrives. Pure.

waiting -> arrived    it came to the mailbox that we read
        -> lost       it did not come in time; the alert about it goes by another transport or relay
lost    -> arrived    it came late, which closes the alert
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from app.domain.dedupe import canary_key
from app.domain.event import Event, EventKind
from app.domain.message import MessageState
from app.domain.service_event import service_event

# A lost canary is reported as a failure of our own job `mail by <way>`. The job has no schedule.
JOB_PREFIX = "mail by "
RELAYED = "mapi"
DAY_BEGINS = timedelta(
    hours=5
)  # so that the morning's summary, and who reads it, already know of a canary that was lost
AGAIN_AFTER = timedelta(hours=1)  # after a lost one, another is sent, so that the alert closes soon after the repair
SETTLED_FOR = timedelta(minutes=5)  # several changes of the settings in a row are one
TIMES_OVER = timedelta(days=30)
MOST_HOPS, _NAME_MOST = 20, 100


class CanaryState(StrEnum):
    """Where a canary is."""

    WAITING = "waiting"
    ARRIVED = "arrived"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Way:
    """A way by which mails leave: a transport, or one relay of `mapi`. `fingerprint` changes with its settings and shows none of them."""

    transport: str
    name: str  # as in texts: `smtp`, `relay mailhost`
    customer_id: str  # whose administrators are alerted
    fingerprint: str
    relay_id: str = ""  # empty: no relay; never None, so that a unique key holds it


@dataclass(frozen=True, slots=True)
class Hop:
    """A server that a mail passed, from its Received header (RFC 5321, section 4.4): its name, and when it had the mail."""

    by: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Canary:
    """One canary. `is_reported`: it was lost, and the alert about that was not closed by a later arrival.

    `occasion` is why it was sent. It is unique within a way, so that each occasion has one canary, whatever crashes.
    """

    id: str
    customer_id: str
    transport: str
    relay_id: str
    name: str
    day: date
    fingerprint: str
    occasion: str
    message_id: str
    sent_at: datetime
    state: CanaryState = CanaryState.WAITING
    arrived_at: datetime | None = None
    seconds: float | None = None
    hops: tuple[Hop, ...] = ()
    lost_at: datetime | None = None
    why: str | None = None
    is_reported: bool = False


@dataclass(frozen=True, slots=True)
class MailTimes:
    """How long canaries took in the last days: the mean, the slowest, and how many arrived and did not."""

    average_s: float
    slowest_s: float
    arrived: int
    lost: int


def fingerprint_of(secret: bytes, facts: Mapping[str, str]) -> str:
    """Return a text that changes with the facts. Without our secret, nobody can find a fact from it."""
    named = "\x00".join(f"{name}\x01{facts[name]}" for name in sorted(facts))
    return hmac.digest(secret, named.encode("utf-8", "surrogateescape"), hashlib.sha256).hex()[:32]


def day_of(now: datetime, time_zone: str, minute: int) -> date:
    """Return the day whose canary is due. It begins at 05:00 plus `minute`, which differs between installations: not all send at once."""
    local = now.astimezone(ZoneInfo(time_zone)).replace(tzinfo=None)
    return (local - DAY_BEGINS - timedelta(minutes=minute)).date()


def occasion_for(way: Way, day: date, todays: Canary | None, newest: Canary | None, now: datetime) -> str | None:
    """Return the occasion of the canary to send now, or None.

    `todays` is the newest one of this day with the way's settings as they are, `newest` the newest of the way at all.
    """
    if todays is None:
        is_changing = newest is not None and timedelta(0) <= now - newest.sent_at < SETTLED_FOR
        return None if is_changing else f"{day.isoformat()} {way.fingerprint}"
    if todays.state is CanaryState.LOST and todays.lost_at is not None and now - todays.lost_at >= AGAIN_AFTER:
        return f"after {todays.id}"
    return None


def arrival_of(canary: Canary) -> str:
    """Return in words that a canary arrived, as the end of an alert."""
    return f"The canary mail of {canary.sent_at:%H:%M} UTC by {canary.name} arrived after {canary.seconds or 0:.0f} s."


_ENDED = {MessageState.DEAD: "it could not be sent", MessageState.BOUNCED: "it was sent and not delivered"}


@dataclass(frozen=True, slots=True)
class Lookout:
    """What is known when the state of a canary is decided: how far its message came, and whether an arrival could be seen.

    `message` is None if the message was deleted. `listening_since`: when the service began to work without a gap.
    `has_mailbox`: canaries arrive in a mailbox, which was read last at `read_at`; otherwise they come to our own listener.
    """

    now: datetime
    within: timedelta
    message: MessageState | None
    settled: str = ""
    listening_since: datetime | None = None
    has_mailbox: bool = False
    read_at: datetime | None = None


def why_lost(canary: Canary, seen: Lookout) -> str | None:
    """Return in words why a waiting canary counts as lost; None: it may still arrive."""
    settled = f" ({seen.settled[:500]})" if seen.settled else ""
    if seen.message in _ENDED:
        return f"{_ENDED[seen.message]}{settled}"
    due = max(canary.sent_at, seen.listening_since or canary.sent_at) + seen.within
    is_looked_for = not seen.has_mailbox or (seen.read_at is not None and seen.read_at >= due)
    # If the mailbox cannot be read, the canary may be in it. This is reported too, but later: an outage of the mailbox would hide the loss of all mail.
    if seen.now <= (due if is_looked_for else due + AGAIN_AFTER):
        return None
    minutes = f"within {seen.within / timedelta(minutes=1):g} min"
    if not is_looked_for:
        last = f"since {seen.read_at:%Y-%m-%d %H:%M} UTC" if seen.read_at else "so far"
        why = f"the mailbox in which it should arrive could not be read {last}"
    elif seen.message is MessageState.SENT:
        why = f"it did not arrive {minutes}, although {canary.name} accepted it{settled}"
    else:
        why = f"it did not leave {minutes}{settled}"
    return why


def hops_of(received: Sequence[str]) -> tuple[Hop, ...]:
    """Return the servers that a mail passed, the first one first. `received`: the values of its Received headers, the newest first."""
    hops = []
    for header in reversed(received[:MOST_HOPS]):
        text, _, moment = header[:2000].rpartition(
            ";"
        )  # the date is what follows the last one; comments may hold others
        words = "".join(letter if letter.isprintable() else " " for letter in text or moment).split()
        by = words[words.index("by") + 1] if "by" in words[:-1] else "unknown"
        hops.append(Hop(by[:_NAME_MOST], _read_moment(moment)))
    return tuple(hops)


def _read_moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(" ".join(text.split())[:100])
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def event_of(canary: Canary, agent_id: str, message: str, now: datetime, *, is_well: bool) -> Event:
    """Return the event that reports a transport or relay like a backup: a lost canary is a failure, a later arrival a success."""
    key, job = canary_key(canary.id, "arrived" if is_well else "lost"), f"{JOB_PREFIX}{canary.name}"[:200]
    of = canary.customer_id, agent_id
    return service_event(of, key, job, message, now, is_well=is_well, kind=EventKind.CANARY)
