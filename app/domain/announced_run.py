"""Reads what a tool tells of its own schedule: when it means to run next. Pure; what makes no sense is left out and judged by nobody.

It is kept as the time from the run that told it to the next one, so that a tool which tells no more is still held to its last word.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from app.domain.event import Event, EventKind, outcome_of
from app.domain.expectation import EARLY_MOST, Expectation

EXPECTS = "expects"  # in the extra of an event that ends a run: {"next": a time with its offset, "grace_s": seconds}
_FAR = timedelta(days=366)
_SOON = timedelta(minutes=1)
_GRACE_S = 3600
_TEXT_MOST = 40


class Told(NamedTuple):
    """What a run told, and when it did. In this order the newest word wins, whatever order they came in."""

    at: datetime
    until_next: timedelta
    grace: timedelta

    @property
    def expectation(self) -> Expectation:
        """The same as an expectation."""
        return Expectation(grace=self.grace, period=self.until_next)


def told_by(event: Event) -> Told | None:
    """Give what this event tells of the next run, or None: nothing, a time without offset, one gone by, or one a year ahead."""
    expects = event.extra.get(EXPECTS)
    if event.kind is not EventKind.REPORT or outcome_of(event) is None or not isinstance(expects, dict):
        return None
    following, grace_s = _moment(expects.get("next")), expects.get("grace_s", _GRACE_S)
    if following is None or following <= event.received_at or isinstance(grace_s, bool):
        return None
    if not isinstance(grace_s, int) or not 0 <= grace_s <= _FAR.total_seconds():
        return None
    until_next = timedelta(seconds=round((following - event.occurred_at).total_seconds()))
    is_sound = _SOON <= until_next <= _FAR
    return Told(event.occurred_at, until_next, timedelta(seconds=grace_s)) if is_sound else None


def told_slot(told: Told, came_at: datetime | None, last_slot: datetime | None) -> datetime | None:
    """Give the time that was told, or None where it was met, or missed, already."""
    slot = _to_the_second(told.at + told.until_next)
    is_met = came_at is not None and came_at >= slot - min(EARLY_MOST, told.until_next / 4)
    return None if is_met or (last_slot is not None and last_slot >= slot) else slot


def _moment(given: object) -> datetime | None:
    if not isinstance(given, str) or len(given) > _TEXT_MOST:
        return None
    try:
        found = datetime.fromisoformat(given)
        return None if found.utcoffset() is None else found
    except (ValueError, OverflowError):
        return None


def _to_the_second(moment: datetime) -> datetime:
    return (moment + timedelta(microseconds=500_000)).replace(microsecond=0)
