"""How long a silence that is made on a page lasts: what its menus offer, with the day on which a morning is, and when each ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from app.core.errors import NotFound

UNTIL_FIXED = "fixed"  # a length: until the job succeeds, or the agent is heard again, at most seven days
_MORNING_AT, _TOO_LATE_AT = 8, 7  # from the second hour on, nobody means the morning of the same day
_MORNING = "morning:"
_HOURS = {"1h": 1, "4h": 4, "1d": 24, "7d": 7 * 24, UNTIL_FIXED: 7 * 24}


@dataclass(frozen=True, slots=True)
class Morning:
    """A morning until which something can be silent. `length` is what a button sends; it names the day, so that midnight in between changes nothing."""

    length: str
    day: date
    is_today: bool


def mornings(now: datetime, zone: ZoneInfo) -> Sequence[Morning]:
    """Return the mornings that a menu offers: tomorrow's, and in the night also today's, as some mean that one by `tomorrow`."""
    local = now.astimezone(zone)
    days = (
        [local.date(), local.date() + timedelta(days=1)]
        if local.hour < _TOO_LATE_AT
        else [local.date() + timedelta(days=1)]
    )
    return [Morning(f"{_MORNING}{day.isoformat()}", day, day == local.date()) for day in days]


def silence_end(length: str, now: datetime, zone: ZoneInfo) -> datetime:
    """Return when a silence of this length ends at the latest; a morning, at 08:00 in the reader's zone. Raises NotFound."""
    if length.startswith(_MORNING):
        try:
            day = date.fromisoformat(length.removeprefix(_MORNING))
        except ValueError:
            raise NotFound("there is no such length of a silence") from None
        return datetime(day.year, day.month, day.day, _MORNING_AT, tzinfo=zone)
    hours = _HOURS.get(length)
    if hours is None:
        raise NotFound("there is no such length of a silence")
    return now + timedelta(hours=hours)
