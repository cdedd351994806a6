"""Where the time went between the arrival of a report and the answer of a mail server, for the page Proof. Pure.

Each length is the difference of two stored times. Where one of them is missing, or they contradict each other because a clock was set, the
length is not known, and the page says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.attempt import Attempt
from app.domain.event import StoredEvent
from app.domain.message import Message
from app.domain.notice import Notice, NoticeKind


class SpentOn(StrEnum):
    """What a part of the time was spent on."""

    DECIDED = "decided"  # from the arrival of the report to the decision whom to notify
    HELD = "held"  # the message was not due yet: a group, a repeat or a silence held it back
    WORDED = "worded"  # from there until the message was written
    QUEUED = "queued"  # the message waited for its first attempt
    ANSWERED = "answered"  # the first attempt, until the other side answered
    RETRIED = "retried"  # from there to the end of the last attempt, also on other transports


@dataclass(frozen=True, slots=True)
class StageTime:
    """How long a stage took. `length` None: not known."""

    stage: SpentOn
    length: timedelta | None


@dataclass(frozen=True, slots=True)
class TimeSpent:
    """The stages of one message in their order, and the time of all together; None: a part of it is not known."""

    recipient: str
    stages: Sequence[StageTime]
    total: timedelta | None

    @property
    def longest(self) -> SpentOn | None:
        """The stage that took most of the time; None where no length is known."""
        known = [(one.length, one.stage) for one in self.stages if one.length is not None]
        return max(known, key=lambda it: it[0])[1] if known else None


def time_spent(
    recipient: str,
    event: StoredEvent | None,
    notice: Notice | None,
    moves: Sequence[tuple[Message, Sequence[Attempt]]],
) -> TimeSpent | None:
    """Return the times of one message. None where nothing was decided or written.

    `event` is the report that opened the alert; only the first notice begins with its arrival: a repeat or an end begins with its own
    decision. `moves` has the message and its successors on other transports, the first one first.
    """
    if notice is None or not moves:
        return None
    first = moves[0][0]
    stages = []
    if notice.what is NoticeKind.OPENED:
        arrived_at = None if event is None else event.received_at
        stages.append(StageTime(SpentOn.DECIDED, _between(arrived_at, notice.created_at)))
    due_at = min(max(notice.due_at, notice.created_at), max(first.created_at, notice.created_at))
    if due_at > notice.created_at:
        stages.append(StageTime(SpentOn.HELD, due_at - notice.created_at))
    stages.append(StageTime(SpentOn.WORDED, _between(due_at, first.created_at)))
    attempts = [one for _, own in moves for one in own]
    if attempts:
        began, ended, last = attempts[0].started_at, attempts[0].ended_at, attempts[-1].ended_at
        stages.append(StageTime(SpentOn.QUEUED, _between(first.created_at, began)))
        stages.append(StageTime(SpentOn.ANSWERED, _between(began, ended)))
        if len(attempts) > 1:
            stages.append(StageTime(SpentOn.RETRIED, _between(ended, last)))
    lengths = [one.length for one in stages if one.length is not None]
    is_known = len(lengths) == len(stages)
    return TimeSpent(recipient, stages, sum(lengths, timedelta(0)) if is_known else None)


def _between(began: datetime | None, ended: datetime | None) -> timedelta | None:
    return None if began is None or ended is None or ended < began else ended - began
