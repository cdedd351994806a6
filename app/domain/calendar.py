"""When a summary is due: daily, weekly or monthly at an hour of a time zone. Pure; daylight saving by cronsim."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from cronsim import CronSim


class Frequency(StrEnum):
    """How often."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Recurrence:
    """`weekday` is 1 (Monday) to 7, for weekly ones; `month_day` 1 to 28, for monthly ones."""

    every: Frequency
    hour: int
    minute: int = 0
    weekday: int = 1
    month_day: int = 1
    time_zone: str = "UTC"

    @property
    def cron(self) -> str:
        """The same as a cron expression."""
        match self.every:
            case Frequency.DAY:
                return f"{self.minute} {self.hour} * * *"
            case Frequency.WEEK:
                return f"{self.minute} {self.hour} * * {self.weekday % 7}"
            case Frequency.MONTH:
                return f"{self.minute} {self.hour} {self.month_day} * *"


def next_time(recurrence: Recurrence, moment: datetime) -> datetime:
    """Give the first time strictly after `moment`, in UTC."""
    return next(CronSim(recurrence.cron, moment.astimezone(ZoneInfo(recurrence.time_zone)))).astimezone(UTC)


def previous_time(recurrence: Recurrence, moment: datetime) -> datetime:
    """Give the last time strictly before `moment`, in UTC."""
    return next(CronSim(recurrence.cron, moment.astimezone(ZoneInfo(recurrence.time_zone)), reverse=True)).astimezone(
        UTC
    )


def whole_period_until(recurrence: Recurrence, moment: datetime) -> datetime:
    """Give the beginning of a period of full length (a day, a week, a month) that ends at `moment`, in UTC.

    What is looked at between two times must not begin at the last one: minutes after it, nothing expected would have been heard yet.
    """
    newest = previous_time(recurrence, moment)
    return moment - (newest - previous_time(recurrence, newest))
