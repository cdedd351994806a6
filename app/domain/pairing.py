"""Pairs starts and ends of tools that name no run, so that their runs last as long as they did. Pure.

An end takes the newest start since the end before it. That is a function of the set of events: their order of arrival does not matter.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.domain.event import Event, EventKind, Phase, RunOutcome, outcome_of
from app.domain.job import Job, order_of
from app.domain.run import ALONE, Run

FAR = timedelta(days=3)  # a start from longer ago belongs to a run whose end was never told


@dataclass(frozen=True, slots=True)
class Around:
    """All that is stored of a job between two of its ends: starts that name no run, and ends after `since`, up to the next one."""

    since: datetime | None = None  # the end before; it is not among `runs`
    runs: Mapping[str, Run] = field(default_factory=dict)  # by run key


def span_to_pair(job: Job, known: Iterable[Run], events: Sequence[Event]) -> tuple[datetime, datetime] | None:
    """Say between which times something may have to be paired anew; None if nothing, as for all jobs that only tell ends.

    `known`: the stored runs of these events. One that had ended may end at another time now, and so change what is beside it.
    """
    signs = [event for event in events if event.kind is EventKind.REPORT]
    ends = [event.occurred_at for event in signs if outcome_of(event) is not None]
    starts = [e.occurred_at for e in signs if e.run is None and e.phase is Phase.STARTED and outcome_of(e) is None]
    moved = [run.ended_at for run in known if run.ended_at is not None]
    latest = job.last_finished_at
    is_late = bool(moved) or (latest is not None and any(at <= latest for at in ends + starts))
    # A missed run takes open ones for overtaken, so after it nothing may be open and yet be waited for.
    is_waiting = bool(starts) or job.running_since is not None or job.missed_in_row > 0
    if not is_late and not (ends and is_waiting):
        return None
    times = ends + starts + moved
    return (min(times), max(times))


def pair(runs: Iterable[Run], since: datetime | None) -> list[Run]:
    """Give those ends that name no run and whose start is another than before. `since`: when the run ended that was before all these."""
    runs = list(runs)
    starts = sorted(run.started_at for run in runs if _is_start(run) and run.started_at is not None)
    ends = [run for run in runs if run.ended_at is not None and run.outcome is not RunOutcome.MISSED]
    changed = []
    for run in sorted(ends, key=order_of):
        ended_at = order_of(run)[0]
        if run.run_key.startswith(ALONE):
            newest = starts[place - 1] if (place := bisect_right(starts, ended_at)) else None
            first = ended_at - FAR if since is None else max(since, ended_at - FAR)
            began = newest if newest is not None and newest > first else None
            if began != run.started_at:
                changed.append(replace(run, started_at=began))
        since = ended_at
    return changed


def _is_start(run: Run) -> bool:
    return run.ended_at is None and run.run_key.startswith(ALONE)
