"""Which runs a calendar shows: the slots at which runs are expected, and those that were missed. Pure and bounded."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.expectation import next_slot
from app.domain.job import Job

AHEAD, BACK = timedelta(days=14), timedelta(days=30)
SLOTS_MOST = 28  # of a job: two a day. Of a job that runs more often, the next ones
ENTRIES_MOST = 2_000


@dataclass(frozen=True, slots=True)
class CalendarEntry:
    """A run of a job at a moment."""

    job_id: str
    at: datetime
    is_missed: bool


def expected_slots(job: Job, now: datetime) -> list[datetime]:
    """Return when runs of the job are expected, from the next one on. Empty: nothing is expected of it."""
    expectation, slot = job.active_expectation, job.next_due_at
    found: list[datetime] = []
    while expectation is not None and slot is not None and slot <= now + AHEAD and len(found) < SLOTS_MOST:
        if slot > now:
            found.append(slot)
        # One step from now at most: a slot that is long past must not be counted on one by one.
        _, slot = next_slot(expectation, None, max(slot, now), job.created_at)
    return found


def calendar_of(jobs: Iterable[Job], missed: Iterable[CalendarEntry], now: datetime) -> list[CalendarEntry]:
    """Return the entries of a calendar, the nearest to now first where there are too many, then by time."""
    entries = [
        *missed,
        *(CalendarEntry(job.id, slot, is_missed=False) for job in jobs for slot in expected_slots(job, now)),
    ]
    nearest = sorted(entries, key=lambda entry: (abs(entry.at - now), entry.job_id))[:ENTRIES_MOST]
    return sorted(nearest, key=lambda entry: (entry.at, entry.job_id))
