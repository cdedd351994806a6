"""When a summary is due: daily, weekly or monthly at an hour of a time zone. Pure; cronsim handles daylight saving."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from cronsim import CronSim


class Frequency(StrEnum):
    """How often a summary is made."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The times of a summary. `weekday` is 1 (Monday) to 7, for weekly ones; `month_day` is 1 to 28, for monthly ones."""

    every: Frequency
    hour: int
    minute: int = 0
    weekday: int = 1
    month_day: int = 1
    time_zone: str = "UTC"

    @property
    def cron(self) -> str:
        """The times as a cron expression."""
        match self.every:
            case Frequency.DAY:
                return f"{self.minute} {self.hour} * * *"
            case Frequency.WEEK:
                return f"{self.minute} {self.hour} * * {self.weekday % 7}"
            case Frequency.MONTH:
                return f"{self.minute} {self.hour} {self.month_day} * *"


def next_time(recurrence: Recurrence, moment: datetime) -> datetime:
    """Return the first time strictly after `moment`, in UTC."""
    times = CronSim(recurrence.cron, moment.astimezone(ZoneInfo(recurrence.time_zone)))
    # Where a time of day comes twice, the library may return the first one, which is over.
    return next(time.astimezone(UTC) for time in times if time.astimezone(UTC) > moment)


def previous_time(recurrence: Recurrence, moment: datetime) -> datetime:
    """Return the last time strictly before `moment`, in UTC."""
    return next(CronSim(recurrence.cron, moment.astimezone(ZoneInfo(recurrence.time_zone)), reverse=True)).astimezone(
        UTC
    )


def whole_period_until(recurrence: Recurrence, moment: datetime) -> datetime:
    """Return the beginning of a period of full length (a day, a week, a month) that ends at `moment`, in UTC.

    A summary made between two regular times must not begin at the last one: minutes after it, no expected run has reported yet.
    """
    newest = previous_time(recurrence, moment)
    return moment - (newest - previous_time(recurrence, newest))
