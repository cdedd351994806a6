"""A summary schedule: when a summary of which jobs goes to whom. Pure."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.calendar import Frequency, Recurrence
from app.domain.matcher import Matcher


@dataclass(frozen=True, slots=True)
class SummarySchedule:
    """`weekday` is 1 (Monday) to 7, for weekly ones; `month_day` 1 to 28, for monthly ones. `last_number` counts its summaries."""

    id: str
    name: str
    recipients: tuple[str, ...]
    created_at: datetime
    customer_id: str | None = None
    enabled: bool = True
    every: Frequency = Frequency.DAY
    hour: int = 7
    minute: int = 0
    weekday: int = 1
    month_day: int = 1
    time_zone: str = "UTC"
    matchers: tuple[Matcher, ...] = ()
    next_at: datetime | None = None
    last_number: int = 0
    version: int = 1

    @property
    def recurrence(self) -> Recurrence:
        """When its summaries are due."""
        return Recurrence(self.every, self.hour, self.minute, self.weekday, self.month_day, self.time_zone)
