"""An expectation: when a job should have run. A cron in its time zone (cronsim handles daylight saving as Debian's cron does), or a period. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from app.core.errors import BadInput

MAX_EARLY = timedelta(minutes=5)
FAR = timedelta(days=366 * 5)
_DAYS = ("Sundays", "Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays")
_MANY_TIMES = 4


@dataclass(frozen=True, slots=True)
class Expectation:
    """Either `cron` (five fields) with `time_zone`, or `period`. A run is missed `grace` after its slot, and takes too long after `longest`."""

    grace: timedelta
    cron: str | None = None
    period: timedelta | None = None
    time_zone: str = "UTC"
    longest: timedelta | None = None


def check_cron(cron: str) -> None:
    """Raise BadInput unless `cron` is a five-field expression that falls due at least once in the coming years."""
    if len(cron.split()) != 5:  # noqa: PLR2004  (the library reads the first of six as seconds)
        raise BadInput(
            "not a cron expression: exactly five fields (minute, hour, day, month, weekday)",
            code="bad_cron",
            field="cron",
        )
    try:
        due = next(CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC)), None)
    except CronSimError as wrong:
        raise BadInput(f"not a cron expression: {wrong}", code="bad_cron", field="cron") from wrong
    if due is None:
        raise BadInput("this cron expression never falls due", code="bad_cron", field="cron")


def slot_after(expectation: Expectation, moment: datetime) -> datetime:
    """Return the first slot strictly after `moment`, in UTC. For a period: one period after `moment`."""
    if expectation.period is not None:
        return moment + expectation.period
    slots = CronSim(expectation.cron or "", moment.astimezone(ZoneInfo(expectation.time_zone)))
    slot = next(slots, None)
    return (slot or moment + FAR).astimezone(UTC)


def too_long_at(expectation: Expectation, began: datetime) -> datetime:
    """Return when a run begins to take too long.

    Without a `longest`: when a second run after it is overdue and none has ended since. Otherwise a backup that begins each
    night and is killed each night would never be missed, because it came, and never fail, because it does not end.
    """
    if expectation.longest is not None:
        return began + expectation.longest
    return slot_after(expectation, slot_after(expectation, began)) + expectation.grace


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


def last_slot_until(expectation: Expectation, moment: datetime) -> datetime | None:
    """Return the newest slot at or before `moment`, in UTC; None for a period, whose slots depend on the runs."""
    if expectation.period is not None:
        return None
    just_after = moment.astimezone(ZoneInfo(expectation.time_zone)) + timedelta(minutes=1)
    for slot in CronSim(expectation.cron or "", just_after, reverse=True):
        if slot <= moment:
            return slot.astimezone(UTC)
    return None


def describe_expectation(expectation: Expectation) -> str:
    """Return the times as a person would say them: `daily at 02:00 (Europe/Berlin)`; the cron itself where they are not simple.

    The grace is left out.
    """
    if expectation.period is not None:
        return f"at least every {_describe_length(expectation.period)}"
    cron = expectation.cron or ""
    fields = cron.split()
    described = _describe_cron(*fields) if len(fields) == 5 else None  # noqa: PLR2004  (of a crontab)
    return f"{described or cron} ({expectation.time_zone})"


def _describe_cron(minute: str, hour: str, day: str, month: str, weekday: str) -> str | None:
    if month != "*" or not minute.isdigit():
        return None
    times = _describe_hours(int(minute), hour)
    if times is None:
        return None
    if weekday == "*" and day == "*":
        return times if hour.startswith("*") else f"daily {times}"
    if weekday == "*":
        return f"monthly on day {day} {times}" if day.isdigit() else None
    days = _describe_weekdays(weekday)
    return f"{days} {times}" if day == "*" and days else None


def _describe_hours(minute: int, hour: str) -> str | None:
    if hour == "*":
        return f"hourly at minute {minute}"
    if hour.startswith("*/") and hour[2:].isdigit():
        return f"every {hour[2:]} hours at minute {minute}"
    hours = hour.split(",")
    if not all(one.isdigit() for one in hours) or len(hours) > _MANY_TIMES:
        return None
    return "at " + ", ".join(f"{int(one):02}:{minute:02}" for one in hours)


def _describe_weekdays(weekday: str) -> str | None:
    if weekday == "1-5":
        return "on working days"
    numbers = weekday.split(",")
    if not all(one.isdigit() and int(one) <= 7 for one in numbers):  # noqa: PLR2004  (7 is Sunday, too)
        return None
    return "on " + ", ".join(_DAYS[int(one) % 7] for one in numbers)


def _describe_length(length: timedelta) -> str:
    """Return `2 days`, `90 minutes`: in the largest unit that divides the length."""
    for unit, name in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        number, rest = divmod(length, unit)
        if not rest:
            return f"{number} {name}s" if number != 1 else name
    return f"{length.total_seconds():.0f} seconds"
