"""The next run that a backup tool announces when it reports a run. Pure.

It is stored as the time from the run that announced it to the next one, so that a job whose tool stops announcing is still
expected at the interval that was announced last. An announcement that is not valid is ignored.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from app.domain.event import Event, EventKind, outcome_of
from app.domain.expectation import MAX_EARLY, Expectation

EXPECTS = "expects"  # in the extra of an event that ends a run: {"next": a time with its offset, "grace_s": seconds}
_MAX_AHEAD = timedelta(days=366)
_MIN_AHEAD = timedelta(minutes=1)
_DEFAULT_GRACE_S = 3600
_MAX_TEXT = 40


class AnnouncedRun(NamedTuple):
    """What a run announced, and when. Sorted in this order, the newest announcement wins, in whatever order they arrive."""

    at: datetime
    until_next: timedelta
    grace: timedelta

    @property
    def expectation(self) -> Expectation:
        """The announcement as an expectation."""
        return Expectation(grace=self.grace, period=self.until_next)


def announced_run_in(event: Event) -> AnnouncedRun | None:
    """Return what this event announces, or None: nothing, a time without offset, one in the past, or one more than a year ahead."""
    expects = event.extra.get(EXPECTS)
    if not isinstance(expects, dict) or event.kind is not EventKind.REPORT or outcome_of(event) is None:
        return None
    following, grace_s = _parse_time(expects.get("next")), expects.get("grace_s", _DEFAULT_GRACE_S)
    if following is None or following <= event.received_at or isinstance(grace_s, bool):
        return None
    if not isinstance(grace_s, int) or not 0 <= grace_s <= _MAX_AHEAD.total_seconds():
        return None
    until_next = timedelta(seconds=round((following - event.occurred_at).total_seconds()))
    if not _MIN_AHEAD <= until_next <= _MAX_AHEAD:
        return None
    return AnnouncedRun(event.occurred_at, until_next, timedelta(seconds=grace_s))


def announced_slot(announced: AnnouncedRun, came_at: datetime | None, last_slot: datetime | None) -> datetime | None:
    """Return the announced time, rounded to the second, or None where a run has met or missed it already."""
    slot = (announced.at + announced.until_next + timedelta(microseconds=500_000)).replace(microsecond=0)
    is_met = came_at is not None and came_at >= slot - min(MAX_EARLY, announced.until_next / 4)
    return None if is_met or (last_slot is not None and last_slot >= slot) else slot


def _parse_time(value: object) -> datetime | None:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        return None
    try:
        found = datetime.fromisoformat(value)
        return None if found.utcoffset() is None else found
    except (ValueError, OverflowError):
        return None
