"""Compute the times of cron expressions in a time zone, also in the nights in which its clocks change. Pure.

In spring some times of day do not exist. systemd skips them, Debian's cron and Windows run such a job right after, others at once or
never. So these times are not slots, and a run near them counts as an early run of the next day. In autumn some times of day exist
twice, and a job runs at the first, the second or both. They are one slot, and the run may come up to one hour later.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from app.domain.schedule import split_crons

_LONGEST_REPEAT = timedelta(hours=3)  # no clocks were ever put back by more than two hours


def first_slot_after(crons: str, zone: str, moment: datetime) -> datetime | None:
    """Return the first slot strictly after `moment`, in UTC; None if none is ever due again."""
    found = (next(_forward(cron, ZoneInfo(zone), moment), None) for cron in split_crons(crons))
    return min((slot for slot in found if slot is not None), default=None)


def last_slot_until(crons: str, zone: str, moment: datetime) -> datetime | None:
    """Return the newest slot at or before `moment`, in UTC; None if there was none."""
    found = (next(_backward(cron, ZoneInfo(zone), moment), None) for cron in split_crons(crons))
    return max((slot for slot in found if slot is not None), default=None)


def repeated_by(zone: str, moment: datetime) -> timedelta:
    """Return after how long the clocks of the zone show the time of `moment` a second time; zero if they do not (only in autumn they do)."""
    local = moment.astimezone(ZoneInfo(zone))
    first, second = local.replace(fold=0).utcoffset(), local.replace(fold=1).utcoffset()
    if local.fold or first is None or second is None:
        return timedelta(0)
    return max(first - second, timedelta(0))


def put_back_by(zone: str, start: datetime, end: datetime) -> timedelta:
    """Return by how much the clocks of the zone were put back between two times; zero if they were not."""
    before, after = start.astimezone(ZoneInfo(zone)).utcoffset(), end.astimezone(ZoneInfo(zone)).utcoffset()
    return timedelta(0) if before is None or after is None else max(before - after, timedelta(0))


def _forward(cron: str, zone: ZoneInfo, moment: datetime) -> Iterator[datetime]:
    times = CronSim(cron, moment.astimezone(zone))
    # The library continues from the first of two equal times of day, so it may return one before `moment`.
    return (time.astimezone(UTC) for time in times if _is_slot(times, time) and time.astimezone(UTC) > moment)


def _backward(cron: str, zone: ZoneInfo, moment: datetime) -> Iterator[datetime]:
    local = moment.astimezone(zone)
    later = moment + (_LONGEST_REPEAT if local.fold else timedelta(minutes=1))
    times = CronSim(cron, later.astimezone(zone), reverse=True)
    return (time.astimezone(UTC) for time in times if _is_slot(times, time) and time.astimezone(UTC) <= moment)


def _is_slot(times: CronSim, time: datetime) -> bool:
    """Return False for a time that the library moved because it does not exist, and for the second of two equal times of day."""
    return not time.fold and time.hour in times.hours and time.minute in times.minutes
