"""How jobs stand now, as monitoring systems see it: the state of each job, and one verdict for many. Pure.

A verdict must never be `ok` for what was not seen: no job at all, or states that nobody has updated for minutes, are `unknown`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum

WORKER_SEEN_WITHIN = timedelta(minutes=1)  # a worker writes its heartbeat every five seconds
DECIDED_WITHIN = timedelta(minutes=5)
LATE_IS_KNOWN_AFTER = timedelta(minutes=2)  # by then a worker that runs has noticed what is missed or takes too long


class ShownState(StrEnum):
    """The state of a job as summaries count it; a job has exactly one. The worst first."""

    FAILED = "failed"
    MISSED = "missed"
    OVERRUN = "overrun"  # a run takes too long, or was given up, and nothing is proven since
    UNCLEAR = "unclear"  # nobody knows how its newest run ended
    WARNING = "warning"
    NEW = "new"  # it has not ended a run yet
    OK = "ok"


class StatusVerdict(StrEnum):
    """One word for many jobs."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class JobCounts:
    """How many jobs are in each state; how many are overdue and not yet called missed, or run now; and agents that are silent."""

    failed: int = 0
    missed: int = 0
    overrun: int = 0
    unclear: int = 0
    warning: int = 0
    new: int = 0
    ok: int = 0
    overdue: int = 0
    running: int = 0
    silent_agents: int = 0

    @property
    def jobs(self) -> int:
        """How many jobs there are."""
        return self.failed + self.missed + self.overrun + self.unclear + self.warning + self.new + self.ok


def total_of(counted: Iterable[JobCounts]) -> JobCounts:
    """Return the sums of these counts."""
    every = list(counted)
    return JobCounts(**{each.name: sum(getattr(one, each.name) for one in every) for each in fields(JobCounts)})


@dataclass(frozen=True, slots=True)
class PipelineState:
    """Whether states are up to date: the newest heartbeat of a worker, when the oldest event that waits was received, and how many
    reports of trouble were set aside, so that no state shows them.
    """

    worker_seen_at: datetime | None = None
    oldest_undecided_at: datetime | None = None
    set_aside: int = 0

    def stale_because(self, now: datetime) -> str | None:
        """Return why the states cannot be trusted; None: they are up to date."""
        if self.worker_seen_at is None or now - self.worker_seen_at > WORKER_SEEN_WITHIN:
            return "no worker runs, so reports are not processed and missed runs are not noticed"
        if (
            self.worker_seen_at - now > WORKER_SEEN_WITHIN
        ):  # else a dead worker would look alive until that time has come
            return (
                "the newest heartbeat of a worker is in the future: the clocks of the servers differ, or were set back"
            )
        if self.oldest_undecided_at is not None and now - self.oldest_undecided_at > DECIDED_WITHIN:
            minutes = int((now - self.oldest_undecided_at).total_seconds() // 60)
            return f"reports have waited for {minutes} minutes to be processed"
        if self.set_aside:
            return f"{self.set_aside} report(s) of trouble could not be processed: see GET /v1/events?state=set_aside"
        return None


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict with its reason."""

    verdict: StatusVerdict
    reason: str


def judge_status(counts: JobCounts, stale_because: str | None) -> Judged:
    """Return the verdict on all counted jobs. What is known to be bad stays critical even if the states are not up to date."""
    bad = [
        f"{number} {word}"
        for number, word in (
            (counts.failed, "failed"),
            (counts.missed, "missed"),
            (counts.overrun, "running too long"),
            (counts.silent_agents, "silent agents" if counts.silent_agents != 1 else "silent agent"),
        )
        if number
    ]
    mild = [
        f"{number} {word}"
        for number, word in ((counts.unclear, "unclear"), (counts.warning, "with warnings"))
        if number
    ]
    stale = [stale_because] if stale_because else []
    if bad:
        return Judged(StatusVerdict.CRITICAL, ", ".join(bad + mild + stale))
    if stale_because:
        return Judged(StatusVerdict.UNKNOWN, "; ".join(stale + mild))
    if counts.jobs == 0:
        return Judged(StatusVerdict.UNKNOWN, "no job matches")
    if mild:
        return Judged(StatusVerdict.WARNING, ", ".join(mild))
    if counts.ok == 0:
        return Judged(StatusVerdict.UNKNOWN, "no job has ended a run yet")
    return Judged(StatusVerdict.OK, f"{counts.ok} of {counts.jobs} jobs are ok")
