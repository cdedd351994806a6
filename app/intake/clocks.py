"""Correct the times of senders whose clock is wrong, by what a request itself proves. Pure.

`sent_at` is the time by the sender's clock at which it sent the request. The difference to the time of our receipt is the error of that
clock, and every time in the request is moved by it. Without `sent_at`, an error is certain only for a clock that is ahead: nothing is
reported before it happens. A time long ago may also be that of a report that was sent late: it stays as it is, and deciding does not rely
on it (see `is_time_proven` in domain/event.py).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pydantic_core import from_json, to_json

from app.domain.event import CLOCK_OFFSET_S
from app.store.intake import NewEvent

NO_TIME, UNNOTICED = timedelta(0), timedelta(minutes=2)  # a request may take as long as the latter on its way
MAX_CLOCK_LEAD = timedelta(hours=24)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


def find_offset(sent_at: datetime | None, received_at: datetime) -> timedelta:
    """Return by how much the sender's clock is behind ours (negative: ahead); zero if it is right or unknown."""
    if sent_at is None or abs(received_at - sent_at) <= UNNOTICED:
        return NO_TIME
    return received_at - sent_at


def correct_time(claimed: datetime | None, offset: timedelta, received_at: datetime, flags: list[str]) -> datetime:
    """Return when an event happened, by our clock. A time that cannot be right becomes the time of receipt.

    It may still be up to 24 h ahead: `move_back_leads` corrects this for all events of a request together, which keeps their order.
    """
    if claimed is None:
        return received_at
    if offset:
        flags.append("clock_corrected")
    elif EARLIEST <= claimed <= received_at:  # as nearly all are: the rest of this is twelve calculations with times
        return claimed
    # The difference first: a time near the year 9999 plus an offset would overflow.
    since_claim = received_at - claimed
    if since_claim - offset < -MAX_CLOCK_LEAD:
        flags.append("clock_ahead")
        return received_at
    if since_claim - offset > received_at - EARLIEST:  # a host whose clock lost its battery
        flags.append("clock_behind")
        return received_at
    return received_at - (since_claim - offset)


def move_back_leads(events: list[NewEvent], agents: Sequence[str]) -> list[NewEvent]:
    """Return the events of one request; those of an agent whose clock is ahead are moved back, all by the same time.

    `agents` names the agent of each event. Otherwise a success with a time in the future would hide the failures until that time.
    """
    leads: dict[str, timedelta] = {}
    for event, agent in zip(events, agents, strict=True):
        if event.occurred_at > event.received_at:
            leads[agent] = max(leads.get(agent, NO_TIME), event.occurred_at - event.received_at)
    if not leads:
        return events
    return [
        _move_back(event, leads[agent]) if agent in leads else event
        for event, agent in zip(events, agents, strict=True)
    ]


def _move_back(event: NewEvent, lead: timedelta) -> NewEvent:
    moved = event._replace(occurred_at=max(event.occurred_at - lead, EARLIEST))
    if lead <= UNNOTICED:
        return moved
    flags = [*(from_json(event.flags) if event.flags else ()), "clock_ahead"]
    extra = {**(from_json(event.extra) if event.extra else {}), CLOCK_OFFSET_S: -round(lead.total_seconds())}
    return moved._replace(flags=to_json(flags).decode(), extra=to_json(extra).decode())
