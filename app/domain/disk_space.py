"""The room on the disks that the service writes to, and when too little of it is reported. Pure.

It is reported as an event of a job of our own, as a failed backup is: while there is room for the alert and its mail, and once more
when the disk is full.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.core.disk import format_size
from app.domain.dedupe import disk_key
from app.domain.event import Event, Severity
from app.domain.service_event import service_event

JOB = "disk space"
_WELL_ABOVE = 1.25  # times the limit: around the limit itself, an alert would open and close again and again


class DiskStage(StrEnum):
    """How the disks stand."""

    WELL = "well"
    LOW = "low"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk: `what` is on it (`database` or `var_dir`), on which host, how many bytes are free, and the limit.

    `files_left`: how many files can still be made, if that is hardly any.
    """

    what: str
    host: str
    free: int
    limit: int
    files_left: int | None = None

    @property
    def is_low(self) -> bool:
        """Whether it has less room than the limit."""
        return self.free < self.limit or self.files_left is not None

    @property
    def is_well(self) -> bool:
        """Whether it has enough room to close an alert."""
        return self.free >= self.limit * _WELL_ABOVE and self.files_left is None

    def __str__(self) -> str:
        """Say how much room it has."""
        name = "the database" if self.what == "database" else "TOCSIN_VAR_DIR"
        if self.files_left is not None:
            return f"the disk of {name} on {self.host} has room for only {self.files_left} more files (inodes)"
        return f"the disk of {name} on {self.host} has {format_size(self.free)} left, less than the limit of {format_size(self.limit)}"


def stage_of(disks: Sequence[Disk], *, is_full: bool, is_reported: bool) -> DiskStage | None:
    """Return how the disks stand; None if that changes nothing. `is_reported`: an alert about them is open."""
    if is_full:
        return DiskStage.FULL
    if any(disk.is_low for disk in disks):
        return DiskStage.LOW
    return DiskStage.WELL if not is_reported or all(disk.is_well for disk in disks) else None


def disk_event(
    stage: DiskStage,
    disks: Sequence[Disk],
    *,
    customer_id: str,
    agent_id: str,
    well_since: datetime,
    now: datetime,
) -> Event:
    """Return the event that reports a stage. `well_since`: see service_event.py."""
    low = "; ".join(str(disk) for disk in disks if disk.is_low)
    match stage:
        case DiskStage.WELL:
            message = "the disks have enough room again"
        case DiskStage.LOW:
            message = f"{low}. When it is full, no event can be stored. Free some space on it (docs/operate.md)"
        case DiskStage.FULL:
            message = (
                "the disk of the database is full: only failures are still stored, everything else is answered with 503 disk_full. "
                "Free some space on it; everything goes on by itself then (docs/operate.md)"
                + (f". {low}" if low else "")
            )
    failed_as = Severity.CRITICAL if stage is DiskStage.FULL else Severity.ERROR
    is_well = stage is DiskStage.WELL
    key = disk_key(well_since, stage)
    return service_event((customer_id, agent_id), key, JOB, message, now, is_well=is_well, failed_as=failed_as)
