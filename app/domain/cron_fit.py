"""Fits a cron to the times at which a job began: one or several times of day, on the weekdays or the day of the month that they share. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_DAY_MIN, _HOUR_MIN = 1440, 60
_EXACT = (
    2.5  # minutes: starts that differ by no more come from a scheduler, which is set to the round time next to them
)
_GRAINS = (60, 30, 15, 10, 5)  # minutes: the steps in which people choose times, the coarsest first
_MONTHLY = timedelta(days=27)
_LONGEST_REST = timedelta(days=4)  # from one day to the next, of a schedule by weekdays
_LAST_SURE_DAY = 28  # of a month: some months do not have the later ones


@dataclass(frozen=True, slots=True)
class CronFit:
    """A cron, and how far behind its slot each time that follows it lies; `spread`: by how much the times of day differ."""

    cron: str
    zone: str
    behind: Mapping[datetime, timedelta]
    spread: timedelta


@dataclass(frozen=True, slots=True)
class _Slot:
    local: datetime  # by the wall clock, without a zone
    behind: timedelta


def fit_cron(begins: Sequence[datetime], gap: timedelta, zone: str) -> CronFit | None:
    """Return the cron that all but a fifth of the times follow, or None. `gap`: the usual time between two."""
    if gap < _HOUR * 0.8:
        return None
    several = gap <= _HOUR * 16
    cycle, reach = (_HOUR_MIN, 20.0) if several else (_DAY_MIN, 360.0)
    walls = {moment: moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in begins}
    minutes = {moment: wall.hour * 60 + wall.minute + wall.second / 60 for moment, wall in walls.items()}
    start, spread = _densest([minute % cycle for minute in minutes.values()], cycle, reach)
    near = [moment for moment in begins if (minutes[moment] - start) % cycle <= reach]
    if len(near) < len(begins) - max(1, len(begins) // 5):
        return None
    minute = _round(start, spread, cycle)
    behind = {moment: _behind(minutes[moment], minute, cycle) for moment in near}
    slots = {moment: _Slot(walls[moment] - behind[moment], behind[moment]) for moment in near}
    hours = _hours([slot.local for slot in slots.values()], gap) if several else (minute // 60,)
    followed = {moment: slot for moment, slot in slots.items() if _nearest(slot.local).hour in hours}
    found = _days(followed, gap)
    if found is None:
        return None
    days, followed = found
    cron = f"{minute % 60} {_listed(hours, 24)} {days}"
    return CronFit(cron, zone, {moment: slot.behind for moment, slot in followed.items()}, timedelta(minutes=spread))


def _densest(minutes: Sequence[float], cycle: int, reach: float) -> tuple[float, float]:
    """Return where the shortest stretch of the cycle begins that contains nine in ten of the times, and its length.

    Later times within `reach` show how late a run may be, but not when it is due.
    """
    most = len(minutes) - len(minutes) // 10
    best = (0, 0.0, 0.0)
    for start in sorted(set(minutes)):
        offsets = sorted(offset for minute in minutes if (offset := (minute - start) % cycle) <= reach)
        core = offsets[:most]
        best = max(best, (len(core), -round(core[-1], 1), start))
    return best[2], -best[1]


def _round(start: float, spread: float, cycle: int) -> int:
    """Return the slot: the nearest round time, or, where the times vary, one that lies as far before the earliest as they vary."""
    if spread <= _EXACT:
        for grain in _GRAINS:
            nearest = round(start / grain) * grain
            if abs(start - nearest) <= 1.5:  # noqa: PLR2004  (minutes by which clocks differ)
                return nearest % cycle
        return int(start) % cycle
    # Several times a day never begin before the full hour: from midnight, such a slot would fall on the day before, often another weekday.
    early = max(0.0, start - spread) if cycle == _HOUR_MIN else start - spread
    for grain in _GRAINS:
        if early % grain <= spread / 2:
            return int(early // grain * grain) % cycle
    return int(early // 1) % cycle


def _behind(minute: float, slot: int, cycle: int) -> timedelta:
    """Return how far a time lies behind its slot; slightly before it counts as negative."""
    behind = (minute - slot) % cycle
    return timedelta(minutes=behind - cycle if behind > cycle - _EXACT else behind)


def _nearest(local: datetime) -> datetime:
    """Return the nearest full minute: a time that was computed in floating point may lie just before it."""
    return (local + timedelta(seconds=30)).replace(second=0, microsecond=0)


def _hours(local: Sequence[datetime], gap: timedelta) -> tuple[int, ...]:
    """Return the hours of the day: at an even step where the runs have one, without the hours at which there usually was no run."""
    slots = sorted({_nearest(slot) for slot in local})
    step = round(gap / _HOUR)
    gaps = [later - earlier for earlier, later in pairwise(slots)]
    even = sum(abs(gap - step * _HOUR) < _HOUR / 4 for gap in gaps)
    seen = Counter(slot.hour for slot in slots)
    first, last = slots[0], slots[-1]
    dates = sorted({slot.date() for slot in slots})
    is_even = step in (1, 2, 3, 4, 6, 8, 12) and even * 5 >= len(gaps) * 3
    maybe = {(first.hour + step * turn) % 24 for turn in range(24 // step)} if is_even else set(seen)
    if last - first < _DAY:
        return tuple(sorted(maybe)) if is_even else ()

    def chances(hour: int) -> int:
        moments = (datetime.combine(day, first.time()).replace(hour=hour) for day in dates)
        return sum(first <= moment <= last for moment in moments)

    return tuple(sorted(hour for hour in maybe if seen[hour] * 2 >= chances(hour) and (is_even or seen[hour] > 1)))


def _days(slots: Mapping[datetime, _Slot], gap: timedelta) -> tuple[str, dict[datetime, _Slot]] | None:
    """Return the cron's fields for the day, and the slots that follow them; None if the days of the month have nothing in common."""
    dates = {moment: _nearest(slot.local).date() for moment, slot in slots.items()}
    if not dates:
        return None
    if gap >= _MONTHLY:
        days = {day.day for day in dates.values()}
        return (f"{min(days)} * *", dict(slots)) if len(days) == 1 and min(days) <= _LAST_SURE_DAY else None
    weekdays = _weekdays(sorted(set(dates.values())), max(_LONGEST_REST, gap * 2))
    followed = {moment: slot for moment, slot in slots.items() if dates[moment].isoweekday() % 7 in weekdays}
    return (f"* * {_listed(weekdays, 7)}", followed) if followed else None


def _weekdays(days: Sequence[date], rest: timedelta) -> tuple[int, ...]:
    """Return the weekdays (0: Sunday) that had a run on at least half of their dates; all of them, until the runs span a week.

    Dates within a gap longer than `rest` do not count: the host was off, which means nothing for the schedule.
    """
    length = (days[-1] - days[0]).days
    if length < 7:  # noqa: PLR2004  (days of a week)
        return tuple(range(7))
    seen = Counter(day.isoweekday() % 7 for day in days)
    gaps = [(earlier, (later - earlier).days) for earlier, later in pairwise(days) if later - earlier <= rest]
    idle = [earlier + timedelta(days=offset) for earlier, gap in gaps for offset in range(1, gap)]
    chances = Counter(day.isoweekday() % 7 for day in [*days, *idle])
    return tuple(sorted(day for day in seen if seen[day] * 2 >= chances[day]))


def _listed(numbers: Sequence[int], full: int) -> str:
    """Return numbers as crontab writes them: `*`, `*/6`, `1-5`, `8,12,16`."""
    if len(numbers) == full:
        return "*"
    step = full // len(numbers)
    if len(numbers) > 2 and step > 1 and tuple(numbers) == tuple(range(0, full, step)) and full % step == 0:  # noqa: PLR2004
        return f"*/{step}"
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:  # noqa: PLR2004  (two are no range)
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(map(str, numbers))
