"""Convert an OnCalendar expression of systemd.time(7) to a cron expression if cron can express the same. Pure."""

import re
from collections.abc import Collection

from app.core.errors import BadInput

_SHORTHANDS = {
    "minutely": "* * * * *",
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "weekly": "0 0 * * 1",
    "monthly": "0 0 1 * *",
    "quarterly": "0 0 1 1,4,7,10 *",
    "semiannually": "0 0 1 1,7 *",
    "semi-annually": "0 0 1 1,7 *",
    "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
}
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAY_NAMES = {
    name: number
    for number, short in enumerate(_DAYS)
    for name in (short, {"tue": "tues", "wed": "wednes", "thu": "thurs", "sat": "satur"}.get(short, short) + "day")
}
_WEEKDAYS = re.compile(r"[a-z]+(?:(?:\.\.|-|,)[a-z]+)*,?", re.IGNORECASE)
_DATE = re.compile(r"[0-9*./,]+(?:-[0-9*./,]+){1,2}|(?:[0-9*./,]+-){1,2}?[0-9*./,]+~[0-9./,]+")
_CLOCK = re.compile(r"[0-9*./,]+(?::[0-9*./,]+){1,2}")
_WEEK_OF_DAYS = {
    tuple(range(first, min(first + 7, 32))): number for number, first in enumerate(range(1, 32, 7), start=1)
}
_EVERY_DAY = range(1, 32)
_MAX_PARTS = 60


def is_calendar(line: str) -> bool:
    """Return whether a line is meant for systemd and not for cron, whose five fields it never has."""
    parts = line.split()
    if not 1 <= len(parts) <= 4:  # noqa: PLR2004  (weekdays, date, time, zone)
        return False
    first = parts[0].lower()
    of_words = first in _SHORTHANDS or (_WEEKDAYS.fullmatch(first) and re.split(r"\.\.|[-,]", first)[0] in _DAY_NAMES)
    is_date = len(parts[0].split("-")) == 3 or "~" in line  # noqa: PLR2004  (year, month, day)
    return bool(of_words) or ":" in line or is_date


def read_calendar(line: str) -> tuple[str, str | None]:
    """Return the cron expression and the name of the time zone at the end of the line, if there is one. Raises BadInput."""
    parts = line.split()
    zone = None
    if len(parts) > 1 and parts[-1][0].isalpha():
        zone = parts.pop()
    if len(parts) == 1 and parts[0].lower() in _SHORTHANDS:
        return _SHORTHANDS[parts[0].lower()], zone
    weekdays = _weekdays(parts.pop(0)) if parts and parts[0][0].isalpha() else None
    date = parts.pop(0) if parts and ":" not in parts[0] else None
    clock = parts.pop(0) if parts else None
    if parts:
        raise _refused(f"{parts[0][:40]!r} is not expected after the time of day")
    month, days, from_end = _date(date)
    minute, hour = _clock(clock)
    day, weekday = _day_fields(days, weekdays) if from_end is None else _from_end(from_end, weekdays)
    return f"{minute} {hour} {day} {month} {weekday}", zone


def _weekdays(text: str) -> list[int]:
    found: list[int] = []
    for part in text.lower().rstrip(",").split(","):
        first, _, last = part.replace("-", "..").partition("..")
        if first not in _DAY_NAMES or (last and last not in _DAY_NAMES):
            raise _refused(f"{part[:40]!r} is not a weekday, such as Mon or Mon..Fri")
        start, end = _DAY_NAMES[first], _DAY_NAMES[last or first]
        found += [(start + step) % 7 for step in range((end - start) % 7 + 1)]
    return sorted(set(found))


def _date(date: str | None) -> tuple[str, list[int], str | None]:
    """Return the month's field, the days of the month, and what counts them from its end, if that is so."""
    if date is None:
        return "*", list(_EVERY_DAY), None
    if not _DATE.fullmatch(date):
        raise _refused(f"{date[:40]!r} is not a date, such as *-*-01")
    rest, mark, from_end = date.partition("~")
    numbers = [*rest.split("-"), *([from_end] if mark else [])]
    year, month, day = numbers if len(numbers) == 3 else ("*", *numbers)  # noqa: PLR2004
    if year != "*":
        raise _refused(f"the year {year!r} is not supported: a job is expected every year")
    months = _field(_numbers(month, 1, 12, "month"), 1, 12)
    return months, _numbers(day, 1, 31, "day"), from_end.lstrip("0") if mark else None


def _clock(clock: str | None) -> tuple[str, str]:
    if clock is None:
        return "0", "0"
    if not _CLOCK.fullmatch(clock):
        raise _refused(f"{clock[:40]!r} is not a time of day, such as 02:30 or *:0/15")
    hour, minute, *second = clock.split(":")
    if second and not (second[0].isdecimal() and int(second[0]) < 60):  # noqa: PLR2004
        raise _refused(f"the seconds {second[0]!r} are not supported: a job is expected at a minute, so leave them out")
    return _field(_numbers(minute, 0, 59, "minute"), 0, 59), _field(_numbers(hour, 0, 23, "hour"), 0, 23)


def _from_end(day: str, weekdays: list[int] | None) -> tuple[str, str]:
    if day == "1" and weekdays is None:
        return "L", "*"
    if day == "7/1" and weekdays is not None:
        return "*", ",".join(f"{weekday}L" for weekday in weekdays)
    raise _refused(
        "from the end of a month, only its last day (*-*~01) and its last weekday (Mon *-*~07/1) are supported"
    )


def _day_fields(days: list[int], weekdays: list[int] | None) -> tuple[str, str]:
    """Return the fields for the day and the weekday. In systemd both must hold, in cron one of them is enough."""
    if weekdays is None:
        return _field(days, 1, 31), "*"
    if len(days) == len(_EVERY_DAY):
        return "*", _field(weekdays, 0, 6)
    week = _WEEK_OF_DAYS.get(tuple(days))
    if week is None:
        raise _refused(
            "a weekday together with days of the month is supported only for the first, second ... of its month (days 1..7,"
            " 8..14, 15..21, 22..28 or 29..31): write only one of them"
        )
    return "*", ",".join(f"{weekday}#{week}" for weekday in weekdays)


def _numbers(text: str, low: int, high: int, what: str) -> list[int]:
    """Return the numbers that `*`, `1,5`, `1..5`, `0/15` or a list of them means."""
    parts = text.split(",")
    if len(parts) > _MAX_PARTS:
        raise _refused(f"too many values for the {what}")
    found: set[int] = set()
    for part in parts:
        shape = re.fullmatch(r"(?:(\*)|([0-9]{1,2})(?:\.\.([0-9]{1,2}))?)(?:/([0-9]{1,2}))?", part)
        if shape is None:
            raise _refused(f"{part[:40]!r} is not understood as the {what}")
        first = low if shape[1] else int(shape[2])
        is_open = shape[1] or (shape[4] and not shape[3])
        last = high if is_open else int(shape[3] or first)
        step = int(shape[4] or 1)
        if not (low <= first <= last <= high) or step == 0:
            raise _refused(f"{part!r} is out of range for the {what}: {low} to {high}")
        found.update(range(first, last + 1, step))
    return sorted(found)


def _field(numbers: Collection[int], low: int, high: int) -> str:
    """Return numbers as a field of a crontab: `*`, `*/15`, `1-5`, `8,12`."""
    ordered = sorted(numbers)
    if len(ordered) == high - low + 1:
        return "*"
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:  # noqa: PLR2004  (two are no range)
        return f"{ordered[0]}-{ordered[-1]}"
    step = ordered[1] - ordered[0] if len(ordered) > 2 else 0  # noqa: PLR2004
    if step and ordered == list(range(low, high + 1, step)):
        return f"*/{step}"
    return ",".join(map(str, ordered))


def _refused(why: str) -> BadInput:
    return BadInput(f"this OnCalendar expression is not supported: {why}", code="bad_cron", field="cron")
