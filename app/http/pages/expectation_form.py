"""The form of when a job should run: a schedule or a period as a person types it, and what it means in words and times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from gettext import NullTranslations

from app.core.errors import BadInput, TocsinError
from app.core.time_zones import read_time_zone
from app.domain.customer import Customer
from app.domain.expectation import Expectation, describe_expectation, overdue_time, slot_after
from app.domain.job import Job
from app.domain.schedule import read_schedule

_SLOTS = 5
_YEAR = timedelta(days=366)
_UNITS: Mapping[str, timedelta] = {"d": timedelta(days=1), "h": timedelta(hours=1), "min": timedelta(minutes=1)}
_SHORTEST, _LONGEST = timedelta(minutes=1), 5 * timedelta(days=365)  # of a period, as in the API


@dataclass(frozen=True, slots=True)
class Slots:
    """When a job should run: in words, the next times, and until when each is waited for. Of a period one is known: the first after a report now."""

    words: str
    next: Sequence[tuple[datetime, datetime]]
    is_period: bool = False


@dataclass(frozen=True, slots=True)
class ExpectationForm:
    """What somebody filled into the form, as text, and why it was refused or what it means. `every` counts `unit`s: d, h or min."""

    cron: str = ""
    zone: str = ""
    grace_min: str = ""
    longest_min: str = ""
    every: str = ""
    unit: str = "h"
    refused: TocsinError | None = None
    explained: Slots | None = None

    def read(self) -> Expectation:
        """Return the expectation that it asks for. Raises BadInput, which says what is wrong."""
        longest = _minutes(self.longest_min) if self.longest_min else None
        grace = timedelta(minutes=_minutes(self.grace_min or "60"))
        most = None if longest is None else timedelta(minutes=max(1, longest))
        if self.cron.strip() and self.every.strip():
            raise BadInput("enter a schedule or a period, not both")
        if self.every.strip():
            zone = _zone(self.zone or "UTC")
            return Expectation(grace, period=self._period(), time_zone=zone, longest=most)
        if not self.cron.strip():
            raise BadInput("enter a schedule or a period")
        schedule = read_schedule(self.cron[:500])
        zone = schedule.time_zone or _zone(self.zone or "UTC")
        return Expectation(grace, cron=schedule.cron, time_zone=zone, longest=most)

    def _period(self) -> timedelta:
        text, unit = self.every.strip(), _UNITS.get(self.unit)
        is_number = text.isascii() and text.isdecimal() and len(text) < 8  # noqa: PLR2004
        period = int(text) * unit if unit is not None and is_number else None
        if period is None or not _SHORTEST <= period <= _LONGEST:
            raise BadInput("a period must be a whole number, at least one minute and at most five years")
        return period


def form_of(job: Job, customer: Customer) -> ExpectationForm:
    """Return the form with what holds for a job now."""
    expectation = job.active_expectation
    if expectation is None:
        return ExpectationForm(zone=customer.time_zone, grace_min="60")
    longest = "" if expectation.longest is None else str(int(expectation.longest.total_seconds() // 60))
    grace = str(int(expectation.grace.total_seconds() // 60))
    every, unit = "", "h"
    if expectation.period is not None:
        unit = next((name for name, length in _UNITS.items() if not expectation.period % length), "min")
        every = str(max(1, expectation.period // _UNITS[unit]))
    return ExpectationForm(expectation.cron or "", expectation.time_zone, grace, longest, every, unit)


def slots_of(expectation: Expectation | None, now: datetime, texts: NullTranslations) -> Slots | None:
    """Return when a job should run; None where nothing is expected."""
    if expectation is None:
        return None
    times, moment = [], now
    for _ in range(_SLOTS if expectation.period is None else 1):
        moment = slot_after(expectation, moment)
        times.append((moment, overdue_time(expectation, moment)))
    words = describe_expectation(expectation, texts.gettext)
    return Slots(words, times, is_period=expectation.period is not None)


def _zone(name: str) -> str:
    try:
        return read_time_zone(name[:64])
    except ValueError as cause:
        raise BadInput(f"the time zone {cause}", field="zone") from cause


def _minutes(text: str) -> int:
    longest = _YEAR // timedelta(minutes=1)
    if not (text.isascii() and text.isdecimal() and len(text) < 8 and int(text) <= longest):  # noqa: PLR2004
        raise BadInput("must be a number of minutes, at most a year")
    return int(text)
