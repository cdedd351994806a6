"""An agent: a program on a host that makes and reports backups; and what its reports show about its clock. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from app.core.replacing import replace
from app.domain.event import CLOCK_OFFSET_S, PROMPT, SENT_AT, Event


class AgentState(StrEnum):
    """Whether an administrator decided about an agent. It is approved, except for agents that were created by an enrolment key with `approve`."""

    APPROVED = "approved"
    WAITING = "waiting"  # its events are stored and its failures reported; nothing is expected of it, and its successes do not count
    REJECTED = "rejected"  # enrolment keys refuse its events


CLOCK_TOLERANCE = timedelta(minutes=5)
# Several tools can report under one agent, one of them in a container with a wrong clock: a single good time proves nothing.
CLOCK_RIGHT_AFTER = timedelta(hours=24)


@dataclass(frozen=True)  # without slots, so that it is copied quickly: see core/replacing.py
class Agent:
    """A program on a host that makes backups. `silent_at` is when the clock reports it silent; None: never.

    `silent_since`: since when it counts as silent, until a report comes that is not unclear.
    `last_heard_at`: when its newest report was received; `last_proven_at`: the newest one that is not unclear.
    `clock_offset`: by how much its clock is behind ours (negative: ahead), as seen last at `clock_off_at`; None: it is right, as far as we know.
    """

    id: str
    customer_id: str
    name: str
    created_at: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    silent_after: timedelta | None = None
    last_heard_at: datetime | None = None
    last_proven_at: datetime | None = None
    silent_at: datetime | None = None
    silent_since: datetime | None = None
    clock_offset: timedelta | None = None
    clock_off_at: datetime | None = None
    state: AgentState = AgentState.APPROVED
    enrolled_by: str | None = None  # the id of the enrolment key that let it in
    version: int = 1


def watch_clock(agent: Agent, reports: Iterable[Event]) -> Agent:
    """Return the agent with what its reports show about its clock. The clock counts as right again when no report has shown an error for a day."""
    for report in sorted(reports, key=lambda event: (event.received_at, event.id)):
        offset = _find_offset(report)
        if offset is None:
            continue
        if abs(offset) >= CLOCK_TOLERANCE:
            # At the same moment the larger error counts, so that the order of deciding does not matter.
            newest = (agent.clock_off_at or report.received_at, abs(agent.clock_offset or timedelta(0)))
            if (report.received_at, abs(offset)) >= newest:
                agent = replace(agent, clock_offset=offset, clock_off_at=report.received_at)
        elif agent.clock_off_at is not None and report.received_at - agent.clock_off_at >= CLOCK_RIGHT_AFTER:
            agent = replace(agent, clock_offset=None, clock_off_at=None)
    return agent


def _find_offset(report: Event) -> timedelta | None:
    """Return the error of the clock when this was sent; None if the report does not show it, because it may have been sent late."""
    offset = report.extra.get(CLOCK_OFFSET_S)
    if isinstance(offset, int) and not isinstance(offset, bool):
        return timedelta(seconds=offset)
    if SENT_AT in report.extra or timedelta(0) < report.received_at - report.occurred_at <= PROMPT:
        return timedelta(0)
    return None


def describe_offset(offset: timedelta) -> str:
    """Return an offset of a clock in words: `9 h behind`, `1 h 30 min ahead`, `20454 days behind`."""
    minutes = round(abs(offset) / timedelta(minutes=1))
    hours, days = minutes // 60, minutes // (24 * 60)
    if hours < 1:
        amount = f"{minutes} min"
    elif hours < 48:  # noqa: PLR2004
        amount = f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    else:
        amount = f"{days} days"
    return f"{amount} {'behind' if offset > timedelta(0) else 'ahead'}"
