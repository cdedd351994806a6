"""An expectation: when a job should have run. Cron expressions in their time zone, or a period. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain import slots
from app.domain.schedule import split_crons

MAX_EARLY = timedelta(minutes=5)
FAR = timedelta(days=366 * 5)
_MANY_TIMES = 4
_NEARLY_A_DAY = timedelta(hours=20)  # such a job runs at a local time of day; a shorter period counts hours


@dataclass(frozen=True, slots=True)
class Expectation:
    """Either `cron` with `time_zone`, or `period`. A run is missed `grace` after its slot, and takes too long after `longest`.

    `cron` has one or more expressions of five fields, as `domain/schedule.py` writes them.
    """

    grace: timedelta
    cron: str | None = None
    period: timedelta | None = None
    time_zone: str = "UTC"
    longest: timedelta | None = None


def slot_after(expectation: Expectation, moment: datetime) -> datetime:
    """Return the first slot strictly after `moment`, in UTC. For a period: one period after `moment`."""
    if expectation.period is not None:
        return moment + expectation.period
    slot = slots.first_slot_after(expectation.cron or "", expectation.time_zone, moment)
    return slot or moment + FAR


def overdue_time(expectation: Expectation, slot: datetime) -> datetime:
    """Return when a run that has not come yet counts as missed. Where clocks are put back, the job may run an hour later."""
    if expectation.period is not None:
        put_back = slots.put_back_by(expectation.time_zone, slot - expectation.period, slot)
        return slot + expectation.grace + (put_back if expectation.period >= _NEARLY_A_DAY else timedelta(0))
    return slot + expectation.grace + slots.repeated_by(expectation.time_zone, slot)


def too_long_at(expectation: Expectation, began: datetime) -> datetime:
    """Return when a run begins to take too long.

    Without a `longest`: when a second run after it is overdue and none has ended since. Otherwise a backup that begins each
    night and is killed each night would never be missed, because it came, and never fail, because it does not end.
    """
    if expectation.longest is not None:
        return began + expectation.longest
    return overdue_time(expectation, slot_after(expectation, slot_after(expectation, began)))


def earliness(expectation: Expectation, slot: datetime) -> timedelta:
    """Return how long before its slot a run still meets it, because clocks differ.

    The least of five minutes, the grace and a quarter of the time to the next slot; zero for a period.
    """
    if expectation.period is not None:
        return timedelta(0)
    return min(MAX_EARLY, expectation.grace, (slot_after(expectation, slot) - slot) / 4)


def next_slot(
    expectation: Expectation, came_at: datetime | None, last_slot: datetime | None, since: datetime
) -> tuple[datetime | None, datetime]:
    """Return (the slot that is settled, the slot that is expected next).

    `came_at` is when the job last reported, `last_slot` the newest slot known to be met or missed, `since` when the
    expectation began. A run settles every slot up to its own time, and the next one if it came only slightly early for it.
    """
    if expectation.period is not None:
        base = max(moment for moment in (came_at, last_slot, since) if moment is not None)
        return (base, base + expectation.period)
    settled = last_slot
    awaited = slot_after(expectation, max(last_slot or since, since))
    if came_at is not None:
        # One step from the run itself, not slot by slot: a job of every minute that was silent for a year costs the same.
        first = slot_after(expectation, came_at)
        met_early = came_at >= first - earliness(expectation, first)
        after_run = slot_after(expectation, first) if met_early else first
        if after_run > awaited:
            settled, awaited = (first if met_early else came_at), after_run
    return (settled, awaited)


def last_overdue_slot(expectation: Expectation, moment: datetime) -> datetime | None:
    """Return the newest slot whose run counts as missed at `moment`, in UTC; None for a period, whose slots depend on the runs."""
    if expectation.period is not None:
        return None
    slot = slots.last_slot_until(expectation.cron or "", expectation.time_zone, moment - expectation.grace)
    # Slots of the hours that the clocks show twice wait longer. Those right before these hours do not, so none may be skipped.
    while slot is not None and overdue_time(expectation, slot) > moment:
        before = slot - timedelta(seconds=1)
        slot = slots.last_slot_until(expectation.cron or "", expectation.time_zone, before)
    return slot


def describe_expectation(expectation: Expectation, gettext: Callable[[str], str] = str) -> str:
    """Return the times as a person would say them: `daily at 02:00 (Europe/Berlin)`; the cron itself where they are not simple.

    The grace is left out. `gettext` translates the texts; without it they are English.
    """
    if expectation.period is not None:
        # In the largest unit that divides it: `at least every 2 days`, `at least every 90 minutes`.
        for unit, one, many in (
            (timedelta(days=1), gettext("at least every day"), gettext("at least every %(n)s days")),
            (timedelta(hours=1), gettext("at least every hour"), gettext("at least every %(n)s hours")),
            (timedelta(minutes=1), gettext("at least every minute"), gettext("at least every %(n)s minutes")),
        ):
            number, rest = divmod(expectation.period, unit)
            if not rest:
                return many % {"n": number} if number != 1 else one
        return gettext("at least every %(n)s seconds") % {"n": f"{expectation.period.total_seconds():.0f}"}
    described = [_describe_cron(cron, gettext) or cron for cron in split_crons(expectation.cron or "")]
    return f"{'; '.join(described)} ({expectation.time_zone})"


def _describe_cron(cron: str, gettext: Callable[[str], str]) -> str | None:
    fields = cron.split()
    if len(fields) != 5:  # noqa: PLR2004  (of a crontab)
        return None
    minute, hour, day, month, weekday = fields
    if month != "*" or not minute.isdecimal():
        return None
    times = _describe_hours(int(minute), hour, gettext)
    if times is None:
        return None
    if weekday == "*" and day == "*":
        return times if hour.startswith("*") else gettext("daily %(times)s") % {"times": times}
    if weekday == "*":
        return gettext("monthly on day %(day)s %(times)s") % {"day": day, "times": times} if day.isdecimal() else None
    days = _describe_weekdays(weekday, gettext)
    return f"{days} {times}" if day == "*" and days else None


def _describe_hours(minute: int, hour: str, gettext: Callable[[str], str]) -> str | None:
    if hour == "*":
        return gettext("hourly at minute %(minute)s") % {"minute": minute}
    if hour.startswith("*/") and hour[2:].isdecimal():
        return gettext("every %(hours)s hours at minute %(minute)s") % {"hours": hour[2:], "minute": minute}
    hours = hour.split(",")
    if not all(one.isdecimal() for one in hours) or len(hours) > _MANY_TIMES:
        return None
    return gettext("at %(times)s") % {"times": ", ".join(f"{int(one):02}:{minute:02}" for one in hours)}


def _describe_weekdays(weekday: str, gettext: Callable[[str], str]) -> str | None:
    if weekday == "1-5":
        return gettext("on working days")
    numbers = weekday.split(",")
    if not all(one.isdecimal() and int(one) <= 7 for one in numbers):  # noqa: PLR2004  (7 is Sunday, too)
        return None
    names = (
        gettext("Sundays"),
        gettext("Mondays"),
        gettext("Tuesdays"),
        gettext("Wednesdays"),
        gettext("Thursdays"),
        gettext("Fridays"),
        gettext("Saturdays"),
    )
    return gettext("on %(days)s") % {"days": ", ".join(names[int(one) % 7] for one in numbers)}
