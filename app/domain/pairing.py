"""Pairs starts and ends of tools that name no run, so that each run has its true duration. Pure.

An end is paired with the newest start since the end before it. That depends on the set of events only, not on their order of arrival.
So a new or changed run affects its own pair and that of the next end, and nothing else, however long the history is.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from app.core.replacing import replace
from app.domain.event import Event, EventKind, Phase, RunOutcome, outcome_of
from app.domain.job import HistoryOrder, Job, history_order
from app.domain.run import SINGLE_EVENT, Run, run_key_of

LONGEST_PAIRED = timedelta(days=3)  # an older start belongs to a run whose end was never reported
ENDS = tuple(  # what separates one pair from the next; a missed run took no time
    outcome for outcome in RunOutcome if outcome not in (RunOutcome.MISSED, RunOutcome.OVERRUN, RunOutcome.SUPERSEDED)
)


@dataclass(frozen=True, slots=True)
class NearbyRuns:
    """The stored runs of a job around some places of its history, by run key.

    They include the ends before and after each of these places, and the newest start without a run name before each end.
    """

    places: Sequence[HistoryOrder] = ()
    runs: Mapping[str, Run] = field(default_factory=dict)


def places_to_pair(job: Job, known: Iterable[Run], events: Sequence[Event]) -> list[HistoryOrder]:
    """Return the places in the job's history at which starts and ends may have to be paired again.

    Empty if there is nothing to pair, as for all jobs that only report ends. `known`: the stored runs of these events; the end
    time of an ended run may change, which changes the pairs next to it.
    """
    signs = [event for event in events if event.kind in (EventKind.REPORT, EventKind.TAUGHT)]
    ends = [(event.occurred_at, run_key_of(event)) for event in signs if outcome_of(event) is not None]
    starts = [
        (e.occurred_at, "") for e in signs if e.run is None and e.phase is Phase.STARTED and outcome_of(e) is None
    ]
    known = list(known)
    moved = [history_order(run) for run in known if run.ended_at is not None]
    latest = job.last_finished_at
    is_late = bool(moved) or (latest is not None and any(at <= latest for at, _ in ends + starts))
    # A missed run supersedes the open ones, so after it a run may be under way though none is open.
    is_waiting = bool(starts) or job.running_since is not None or job.missed_in_row > 0
    if not is_late and not (ends and is_waiting):
        return []
    # A start that gets an end of its own, by an answer of an administrator, is no start of the next end any more.
    taken = [(run.started_at, "") for run in known if run.started_at is not None and run.ended_at is None]
    return sorted({*ends, *starts, *moved, *taken})


def pair_runs(runs: Iterable[Run], places: Iterable[HistoryOrder]) -> list[Run]:
    """Return those ended runs at or right after these places that name no run and whose start has changed."""
    runs = list(runs)
    starts = sorted(
        run.started_at
        for run in runs
        if run.ended_at is None and run.started_at is not None and run.run_key.startswith(SINGLE_EVENT)
    )
    ends = sorted((run for run in runs if run.ended_at is not None and run.outcome in ENDS), key=history_order)
    order = [history_order(run) for run in ends]
    affected: set[int] = set()
    for place in places:
        following = bisect_right(order, place)
        affected |= {following - 1, following} if following and order[following - 1] == place else {following}
    changed = []
    for index in sorted(affected.intersection(range(len(ends)))):
        run, ended_at = ends[index], order[index][0]
        if not run.run_key.startswith(SINGLE_EVENT):
            continue
        newest = starts[before - 1] if (before := bisect_right(starts, ended_at)) else None
        first = ended_at - LONGEST_PAIRED
        if index > 0:
            first = max(first, order[index - 1][0])
        began = newest if newest is not None and newest > first else None
        if began != run.started_at:
            changed.append(replace(run, started_at=began))
    return changed
