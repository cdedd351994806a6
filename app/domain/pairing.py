"""Pairs starts and ends of tools that name no run, so that each run has its true duration. Pure.

An end is paired with the newest start since the end before it. That depends on the set of events only, not on their order of arrival.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.domain.event import Event, EventKind, Phase, RunOutcome, outcome_of
from app.domain.job import Job, history_order
from app.domain.run import SINGLE_EVENT, Run

LONGEST_PAIRED = timedelta(days=3)  # an older start belongs to a run whose end was never reported


@dataclass(frozen=True, slots=True)
class NearbyRuns:
    """The stored runs of a job between two of its ends: starts without a run name, and the ends after `since` up to the next end."""

    since: datetime | None = None  # the previous end; it is not in `runs`
    runs: Mapping[str, Run] = field(default_factory=dict)  # by run key


def span_to_pair(job: Job, known: Iterable[Run], events: Sequence[Event]) -> tuple[datetime, datetime] | None:
    """Return the first and last time between which starts and ends may have to be paired again.

    None if there is nothing to pair, as for all jobs that only report ends. `known`: the stored runs of these events; the end
    time of an ended run may change, which changes the pairs next to it.
    """
    signs = [event for event in events if event.kind in (EventKind.REPORT, EventKind.TAUGHT)]
    ends = [event.occurred_at for event in signs if outcome_of(event) is not None]
    starts = [e.occurred_at for e in signs if e.run is None and e.phase is Phase.STARTED and outcome_of(e) is None]
    moved = [run.ended_at for run in known if run.ended_at is not None]
    latest = job.last_finished_at
    is_late = bool(moved) or (latest is not None and any(at <= latest for at in ends + starts))
    # A missed run supersedes the open ones, so after it a run may be under way though none is open.
    is_waiting = bool(starts) or job.running_since is not None or job.missed_in_row > 0
    if not is_late and not (ends and is_waiting):
        return None
    times = ends + starts + moved
    return (min(times), max(times))


def pair_runs(runs: Iterable[Run], since: datetime | None) -> list[Run]:
    """Return those ended runs that name no run and whose start has changed. `since`: the end of the run before all of these."""
    runs = list(runs)
    starts = sorted(
        run.started_at
        for run in runs
        if run.ended_at is None and run.started_at is not None and run.run_key.startswith(SINGLE_EVENT)
    )
    ends = [run for run in runs if run.ended_at is not None and run.outcome is not RunOutcome.MISSED]
    changed = []
    for run in sorted(ends, key=history_order):
        ended_at = history_order(run)[0]
        if run.run_key.startswith(SINGLE_EVENT):
            newest = starts[place - 1] if (place := bisect_right(starts, ended_at)) else None
            first = ended_at - LONGEST_PAIRED if since is None else max(since, ended_at - LONGEST_PAIRED)
            began = newest if newest is not None and newest > first else None
            if began != run.started_at:
                changed.append(replace(run, started_at=began))
        since = ended_at
    return changed
