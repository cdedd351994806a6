"""Says an expectation as a person would: `daily at 02:00 (Europe/Berlin)`. Pure."""

from datetime import timedelta

from app.domain.expectation import Expectation

_DAYS = ("Sundays", "Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays")
_MANY_TIMES = 4


def in_words(expectation: Expectation) -> str:
    """Give its times in words where they are simple, else the cron itself. Grace is left out."""
    if expectation.period is not None:
        return f"at least every {_length(expectation.period)}"
    cron = expectation.cron or ""
    fields = cron.split()
    said = _said(*fields) if len(fields) == 5 else None  # noqa: PLR2004  (of a crontab)
    return f"{said or cron} ({expectation.time_zone})"


def _said(minute: str, hour: str, day: str, month: str, weekday: str) -> str | None:
    if month != "*" or not minute.isdigit():
        return None
    times = _times(int(minute), hour)
    if times is None:
        return None
    if weekday == "*" and day == "*":
        return times if hour.startswith("*") else f"daily {times}"
    if weekday == "*":
        return f"monthly on day {day} {times}" if day.isdigit() else None
    days = _days(weekday)
    return f"{days} {times}" if day == "*" and days else None


def _times(minute: int, hour: str) -> str | None:
    if hour == "*":
        return f"hourly at minute {minute}"
    if hour.startswith("*/") and hour[2:].isdigit():
        return f"every {hour[2:]} hours at minute {minute}"
    hours = hour.split(",")
    if not all(one.isdigit() for one in hours) or len(hours) > _MANY_TIMES:
        return None
    return "at " + ", ".join(f"{int(one):02}:{minute:02}" for one in hours)


def _days(weekday: str) -> str | None:
    if weekday == "1-5":
        return "on working days"
    numbers = weekday.split(",")
    if not all(one.isdigit() and int(one) <= 7 for one in numbers):  # noqa: PLR2004  (Sunday's other number)
        return None
    return "on " + ", ".join(_DAYS[int(one) % 7] for one in numbers)


def _length(length: timedelta) -> str:
    """Give `2 days`, `90 minutes`: the largest unit that divides it."""
    for tx, name in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        number, rest = divmod(length, tx)
        if not rest:
            return f"{number} {name}s" if number != 1 else name
    return f"{length.total_seconds():.0f} seconds"
