"""Folds events into runs, jobs and daily roll-ups. Pure: it returns what is to be stored.

The state of a job does not depend on the order in which its events came. Usually they come in order, and the state is carried
forward; after an event that is late, or that changes a run that had ended, the job's counters are counted again from its history.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from app.core.ids import new_id
from app.domain.announced_run import announced_run_in, announced_slot
from app.domain.event import Event, EventKind, RunOutcome, outcome_of
from app.domain.expectation import next_slot, too_long_at
from app.domain.job import ExpectationSource, Job, apply_run, history_order
from app.domain.pairing import NearbyRuns, pair_runs
from app.domain.run import Run, merge, run_key_of

LEARN_INTERVAL = (
    timedelta(minutes=15),
    timedelta(days=7),
)  # the least and the most between two times that a cadence is learned
GIVEN_UP_AFTER = 5  # slots missed in a row: as many as the runs from which a cadence is learned
MAX_AMOUNT = 2**53  # larger amounts are wrong, and JSON would not keep them exactly
_SUM_OF = {
    RunOutcome.SUCCESS: "successes",
    RunOutcome.WARNING: "warnings",
    RunOutcome.FAILURE: "failures",
    RunOutcome.CANCELLED: "cancelled",
    RunOutcome.MISSED: "missed",
}
Sums = dict[str, float]


@dataclass(slots=True)
class FoldedJob:
    """One job after its events. `is_late`: its counters must be counted again from the stored history."""

    before: Job
    after: Job
    runs: list[Run] = field(default_factory=list)
    run_of: dict[str, str] = field(default_factory=dict)  # event id -> run id
    sums: dict[date, Sums] = field(default_factory=dict)
    is_late: bool = False
    ended: list[Run] = field(default_factory=list)  # those that changed `before` to `after`, newest last
    overran: Event | None = None


def fold_job(
    job: Job, known: Mapping[str, Run], events: Sequence[Event], zone: str, nearby: NearbyRuns | None = None
) -> FoldedJob:
    """Fold the events of one job, in any order, into its runs and state. `known` has its stored runs by run key.

    `nearby`: the stored runs between the ends next to these events, where `span_to_pair` asks for them.
    """
    folded = FoldedJob(before=job, after=job)
    fresh: dict[str, Run] = {}
    for event in events:
        if event.kind is EventKind.OVERRUN:
            folded.overran = event
            continue
        if event.kind is EventKind.REPORT and event.phase is None and outcome_of(event) is None:
            continue  # a plain message reports nothing about a run
        key = run_key_of(event)
        run = fresh.get(key) or known.get(key)
        if run is None:
            run = Run(new_id("run"), job.customer_id, job.id, key, heard_at=event.occurred_at)
        fresh[key] = merge(run, event)
        folded.run_of[event.id] = run.id
    if nearby is not None:
        known = {**nearby.runs, **known}
        fresh |= {run.run_key: run for run in pair_runs({**known, **fresh}.values(), nearby.since)}
    folded.runs = [_with_deadline(run, job) for key, run in fresh.items() if run != known.get(key)]
    folded.after = _settle_slots(job, _note_announcement(_note_report(job, events), events), events)
    _carry_forward(folded, known)
    folded.after = _give_up(_schedule_learning(folded, events))
    _count_days(folded, known, ZoneInfo(zone))
    return folded


def _with_deadline(run: Run, job: Job) -> Run:
    """Return an open run with the time from which it takes too long; one that began before a later end is superseded."""
    if run.outcome is not None or run.started_at is None:
        return run
    if job.last_finished_at is not None and run.started_at <= job.last_finished_at:
        return replace(run, outcome=RunOutcome.SUPERSEDED, overrun_at=None)
    expectation = job.active_expectation
    if expectation is not None and job.expectation_source is not ExpectationSource.SET:
        expectation = replace(expectation, longest=None)  # a duration that nobody confirmed is a guess
    return replace(run, overrun_at=None if expectation is None else too_long_at(expectation, run.started_at))


def _note_report(job: Job, events: Sequence[Event]) -> Job:
    """Note the time of the newest report, and the labels of the newest report that has any."""
    reports = [e for e in events if e.kind is EventKind.REPORT and (e.phase is not None or outcome_of(e) is not None)]
    if not reports:
        return job
    newest = max(reports, key=lambda e: (e.occurred_at, e.key))
    labelled = max((e for e in reports if e.labels), key=lambda e: (e.occurred_at, e.key), default=None)
    if labelled is not None and (job.last_came_at is None or labelled.occurred_at >= job.last_came_at):
        job = replace(job, labels=labelled.labels)
    return replace(job, last_came_at=max(job.last_came_at or newest.occurred_at, newest.occurred_at))


def _note_announcement(job: Job, events: Sequence[Event]) -> Job:
    """Note the next run that the tool announces; a late report does not replace what a newer one announced."""
    newest = max((run for event in events if (run := announced_run_in(event)) is not None), default=None)
    previous = job.announced_run
    if newest is None or (previous is not None and newest <= previous):
        return job
    return replace(job, told_expectation=newest.expectation, told_at=newest.at)


def _settle_slots(before: Job, job: Job, events: Sequence[Event]) -> Job:
    """Move on to the slot that is expected next. Never back: a late event must not make a settled slot overdue again.

    Only a new announcement of the tool may be earlier than the one before.
    """
    expectation = job.active_expectation
    if expectation is None:
        return job
    slots = [event.occurred_at for event in events if event.kind is EventKind.MISSED]
    last_slot = max([*slots, *([job.last_due_at] if job.last_due_at else [])], default=None)
    settled, next_due = next_slot(expectation, job.last_came_at, last_slot, job.created_at)
    announced = job.announced_run if job.expectation_source is ExpectationSource.ANNOUNCED else None
    slot = announced_slot(announced, job.last_came_at, last_slot) if announced is not None else None
    if slot is not None:
        settled, next_due = job.last_came_at, slot
    if before.announced_run == job.announced_run and job.next_due_at is not None and next_due < job.next_due_at:
        next_due = job.next_due_at
    return replace(job, last_due_at=settled, next_due_at=next_due, overdue_at=next_due + expectation.grace)


def _give_up(job: Job) -> Job:
    """Stop expecting a job after some missed slots, unless an administrator set when it runs. The alert stays open; the next run starts again."""
    if job.missed_in_row < GIVEN_UP_AFTER or job.expectation_source is ExpectationSource.SET:
        return job
    return replace(job, next_due_at=None, overdue_at=None)


def _schedule_learning(folded: FoldedJob, events: Sequence[Event]) -> Job:
    """Have the cadence of a job without a better expectation learned again: soon while the job is new, then less and less often."""
    job = folded.after
    is_known = (
        job.expectation_source in (ExpectationSource.SET, ExpectationSource.ANNOUNCED) or job.dismissed_at is not None
    )
    received = [event.received_at for event in events if event.kind is EventKind.REPORT]
    if is_known or job.learn_at is not None or not folded.ended or not received:
        return job
    newest = max(received)
    interval = min(max((newest - job.created_at) / 8, LEARN_INTERVAL[0]), LEARN_INTERVAL[1])
    return replace(job, learn_at=newest if job.learned_at is None else max(newest, job.learned_at + interval))


def _carry_forward(folded: FoldedJob, known: Mapping[str, Run]) -> None:
    ended = sorted((run for run in folded.runs if run.ended_at is not None), key=history_order)
    ended = [run for run in ended if _ending(run) != _ending(known.get(run.run_key))]
    if not ended:
        return
    folded.ended = ended
    newest = folded.before.last_finished_at
    was_ended = any(run.run_key in known and known[run.run_key].ended_at is not None for run in ended)
    folded.is_late = was_ended or (newest is not None and any(run.ended_at <= newest for run in ended if run.ended_at))
    if not folded.is_late:
        for run in ended:
            folded.after = apply_run(folded.after, run)


def _ending(run: Run | None) -> tuple[datetime | None, str | None] | None:
    return None if run is None else (run.ended_at, run.decided_by)


def _count_days(folded: FoldedJob, known: Mapping[str, Run], zone: ZoneInfo) -> None:
    """Add what the changed runs count now and subtract what they counted before, so that a day is correct in any order."""
    for place, run in enumerate(folded.runs):
        at = run.started_at if run.outcome is RunOutcome.MISSED else run.ended_at
        day = at.astimezone(zone).date() if at is not None and run.outcome in _SUM_OF else None
        folded.runs[place] = replace(run, day=day)
    for run in folded.runs:
        for counted, sign in ((known.get(run.run_key), -1), (run, 1)):
            if counted is None or counted.day is None:
                continue
            sums = folded.sums.setdefault(counted.day, {})
            for name, amount in _amounts(counted).items():
                sums[name] = sums.get(name, 0) + sign * amount


def _amounts(run: Run) -> Sums:
    if run.outcome is None:
        return {}
    return {
        _SUM_OF[run.outcome]: 1,
        "bytes_processed": int(min(max(run.metrics.get("bytes_processed", 0), 0), MAX_AMOUNT)),
        "bytes_stored": int(min(max(run.metrics.get("bytes_stored", 0), 0), MAX_AMOUNT)),
        "duration_s": min(max(run.duration_s, 0), MAX_AMOUNT),
    }
