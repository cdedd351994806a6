"""Read the schedule of a job in the notation that a person has: crontab, `@daily`, systemd's OnCalendar, or several of them. Pure.

All become cron expressions of five fields. Sources: crontab(5) of Debian and cronie, systemd.time(7).
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches

from cronsim import CronSim, CronSimError

from app.core.errors import BadInput
from app.core.time_zones import read_time_zone
from app.domain.systemd_calendar import is_calendar, read_calendar

SEPARATOR = "; "  # between the expressions of one expectation
MAX_SCHEDULES = 10
_FIELDS = 5
_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_PERIOD_INSTEAD = "leave cron out and send period_s, the longest time from run to run in seconds"
_HINTS = (
    ("?", "'?' is syntax of Quartz: write * instead"),
    ("H", "'H' is syntax of Jenkins, which chooses the minute itself: write the minute that it chose"),
    ("W", "'W' is syntax of Quartz and not supported, except LW: write the days instead"),
)
_FIELD = re.compile(
    r"[0-9*,/?#LWH-]+|(?:MON|TUE|WED|THU|FRI|SAT|SUN|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)[A-Z0-9,#-]*"
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a job runs: whenever one of `crons` says so. `time_zone`: the zone that the text itself names."""

    crons: tuple[str, ...]
    time_zone: str | None = None

    @property
    def cron(self) -> str:
        """The expressions as an expectation holds them."""
        return SEPARATOR.join(self.crons)


def read_schedule(text: str) -> Schedule:
    """Return the schedules in a text, separated by `;` or line ends. Raises BadInput, which says what to write instead."""
    lines = [line for line in re.split(r"[;\r\n]+", text) if line.strip()]
    if not lines:
        raise _refused("it is empty")
    if len(lines) > MAX_SCHEDULES:
        raise _refused(f"at most {MAX_SCHEDULES} schedules are allowed for one job")
    found = [_read_one(" ".join(line.split())) for line in lines]
    zones = {zone for _, zone in found if zone is not None}
    if len(zones) > 1 or (zones and any(zone is None for _, zone in found)):
        raise _refused("the schedules of one job must have the same time zone: name it in each, or send time_zone")
    return Schedule(tuple(dict.fromkeys(cron for cron, _ in found)), next(iter(zones), None))


def split_crons(cron: str) -> list[str]:
    """Return the cron expressions that an expectation holds."""
    return [one.strip() for one in cron.split(SEPARATOR.strip())]


def _read_one(line: str) -> tuple[str, str | None]:
    zone = None
    if (named := re.match(r"(?:CRON_TZ|TZ)=(\S+) ", line)) is not None:
        zone, line = _zone(named[1]), line[named.end() :]
    if line.startswith("@"):
        return _of_nickname(line), zone
    line = re.sub(r"^OnCalendar ?= ?", "", line, flags=re.IGNORECASE)
    if is_calendar(line):
        cron, own_zone = read_calendar(line)
        zone = zone if own_zone is None else _zone(own_zone)
    else:
        cron = line
    fields = cron.upper().split()
    if len(fields) != _FIELDS:  # the library reads the first of six as seconds
        hint = ""
        if len(fields) > _FIELDS and all(_FIELD.fullmatch(field) for field in fields[: _FIELDS + 1]):
            hint = "; leave out the seconds in front, and a year at the end"
        elif len(fields) > _FIELDS and all(_FIELD.fullmatch(field) for field in fields[:_FIELDS]):
            hint = "; leave out the command"
        raise _refused(
            f"write exactly five fields (minute, hour, day, month, weekday), @daily or systemd's OnCalendar{hint}"
        )
    try:
        due = next(CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC)), None)
    except CronSimError as wrong:
        words = {part for field in fields for part in re.findall(r"\?|[A-Z]+", field)}
        hint = next((text for sign, text in _HINTS if any(sign == word or sign == word[-1:] for word in words)), "")
        raise _refused(f"{wrong}{': ' if hint else ''}{hint}") from wrong
    if due is None:
        raise BadInput(f"this cron expression never falls due: {cron}", code="bad_cron", field="cron")
    return cron, zone


def _zone(name: str) -> str:
    try:
        return read_time_zone(name)
    except ValueError as wrong:
        raise BadInput(f"the schedule's time zone {wrong}", code="bad_cron", field="cron") from wrong


def _of_nickname(line: str) -> str:
    nickname = line.split(maxsplit=1)[0].lower()
    if nickname in _NAMED:
        if " " in line:
            raise _refused(f"leave out the command after {nickname}")
        return _NAMED[nickname]
    if nickname == "@reboot":
        raise _refused(f"@reboot names no time, so a run cannot be missed; {_PERIOD_INSTEAD}")
    if nickname == "@every":
        raise _refused(f"@every names no time of day, because it counts from the start of a program; {_PERIOD_INSTEAD}")
    alike = get_close_matches(nickname[:20], _NAMED, n=1)
    meant = f"did you mean {alike[0]}? " if alike else ""
    raise _refused(f"{nickname[:40]} is unknown; {meant}Supported are {', '.join(sorted(_NAMED))}")


def _refused(why: str) -> BadInput:
    return BadInput(f"not a cron expression: {why}", code="bad_cron", field="cron")
