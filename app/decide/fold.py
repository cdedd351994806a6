"""Folds events into runs, jobs and daily roll-ups. Pure: it gives what is to be stored, and never touches the store.

The state of a job is the same in whatever order its events came. In order, which is the rule, it is carried forward; an event
that is late, or that changes a run that had ended, has the job's counters counted anew from its history (`replay`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from app.core.ids import new_id
from app.domain.announced_run import told_by, told_slot
from app.domain.event import Event, EventKind, RunOutcome, outcome_of
from app.domain.expectation import next_slot, too_long_at
from app.domain.job import Basis, Job, after_run, awaited_as, basis_of, order_of, told_of
from app.domain.pairing import Around, pair
from app.domain.run import Run, merge, run_key_of

LEARN_LEAST, LEARN_MOST = timedelta(minutes=15), timedelta(days=7)  # from one look at a job's runs to the next
GIVEN_UP_AFTER = 5  # slots missed in a row: as many as the runs that teach a cadence
MOST = 2**53  # larger sums are nonsense, and would not survive JSON
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
    """What became of one job. `is_late`: its counters must be counted anew from the stored history."""

    before: Job
    after: Job
    runs: list[Run] = field(default_factory=list)
    run_of: dict[str, str] = field(default_factory=dict)  # event id -> run id
    sums: dict[date, Sums] = field(default_factory=dict)
    is_late: bool = False
    ended: list[Run] = field(default_factory=list)  # those that brought `after` about, newest last
    overran: Event | None = None


def fold_job(
    job: Job, known: Mapping[str, Run], events: Sequence[Event], zone: str, around: Around | None = None
) -> FoldedJob:
    """Fold the events of one job, in any order, into its runs and state. `known` has its stored runs by run key.

    `around`: what is stored between the ends beside these events, where `span_to_pair` asks for it.
    """
    folded = FoldedJob(before=job, after=job)
    fresh: dict[str, Run] = {}
    for event in events:
        if event.kind is EventKind.OVERRUN:
            folded.overran = event
            continue
        if event.kind is EventKind.REPORT and event.phase is None and outcome_of(event) is None:
            continue  # a plain message says nothing of a run
        key = run_key_of(event)
        run = fresh.get(key) or known.get(key) or _new_run(job, key, event)
        fresh[key] = merge(run, event)
        folded.run_of[event.id] = run.id
    if around is not None:
        known = {**around.runs, **known}
        fresh |= {run.run_key: run for run in pair({**known, **fresh}.values(), around.since)}
    folded.runs = [_with_deadline(run, job) for key, run in fresh.items() if run != known.get(key)]
    folded.after = _settle_slots(job, _told(_heard(job, events), events), events)
    _carry_forward(folded, known)
    folded.after = _given_up(_to_learn(folded, events))
    _count_days(folded, known, ZoneInfo(zone))
    return folded


def _new_run(job: Job, key: str, event: Event) -> Run:
    return Run(id=new_id("run"), customer_id=job.customer_id, job_id=job.id, run_key=key, heard_at=event.occurred_at)


def _with_deadline(run: Run, job: Job) -> Run:
    """An open run has a moment from which it takes too long; one that a later run has overtaken is superseded."""
    if run.outcome is not None or run.started_at is None:
        return run
    if job.last_finished_at is not None and run.started_at <= job.last_finished_at:
        return replace(run, outcome=RunOutcome.SUPERSEDED, overrun_at=None)
    expectation = awaited_as(job)
    if expectation is not None and basis_of(job) is not Basis.SET:
        expectation = replace(expectation, longest=None)  # a habit that nobody confirmed is a guess
    return replace(run, overrun_at=None if expectation is None else too_long_at(expectation, run.started_at))


def _heard(job: Job, events: Sequence[Event]) -> Job:
    """Note the newest sign of life, and the labels of the newest event that has any."""
    signs = [e for e in events if e.kind is EventKind.REPORT and (e.phase is not None or outcome_of(e) is not None)]
    if not signs:
        return job
    newest = max(signs, key=lambda e: (e.occurred_at, e.key))
    labelled = max((e for e in signs if e.labels), key=lambda e: (e.occurred_at, e.key), default=None)
    if labelled is not None and (job.last_came_at is None or labelled.occurred_at >= job.last_came_at):
        job = replace(job, labels=labelled.labels)
    return replace(job, last_came_at=max(job.last_came_at or newest.occurred_at, newest.occurred_at))


def _told(job: Job, events: Sequence[Event]) -> Job:
    """Note what the tool tells of its next run; a late report does not take back what a newer one told."""
    newest = max((told for event in events if (told := told_by(event)) is not None), default=None)
    was = told_of(job)
    if newest is None or (was is not None and newest <= was):
        return job
    return replace(job, told_expectation=newest.expectation, told_at=newest.at)


def _settle_slots(before: Job, job: Job, events: Sequence[Event]) -> Job:
    """Move on to the slot that is awaited next. Never back: a late event must not make a settled slot overdue again.

    A tool that tells another time than before may well mean an earlier one.
    """
    expectation = awaited_as(job)
    if expectation is None:
        return job
    slots = [event.occurred_at for event in events if event.kind is EventKind.MISSED]
    last_slot = max([*slots, *([job.last_due_at] if job.last_due_at else [])], default=None)
    settled, awaited = next_slot(expectation, job.last_came_at, last_slot, job.created_at)
    told = told_of(job) if basis_of(job) is Basis.TOLD else None
    slot = told_slot(told, job.last_came_at, last_slot) if told is not None else None
    if slot is not None:
        settled, awaited = job.last_came_at, slot
    if told_of(before) == told_of(job) and job.next_due_at is not None and awaited < job.next_due_at:
        awaited = job.next_due_at
    return replace(job, last_due_at=settled, next_due_at=awaited, overdue_at=awaited + expectation.grace)


def _given_up(job: Job) -> Job:
    """What no administrator set is not awaited for ever: the alert stays open, and the next run begins anew."""
    if job.missed_in_row < GIVEN_UP_AFTER or basis_of(job) is Basis.SET:
        return job
    return replace(job, next_due_at=None, overdue_at=None)


def _to_learn(folded: FoldedJob, events: Sequence[Event]) -> Job:
    """Have the job's cadence learned once more, if it still needs one: soon while it is young, then less and less often."""
    job = folded.after
    is_known = basis_of(job) in (Basis.SET, Basis.TOLD) or job.dismissed_at is not None
    came = [event.received_at for event in events if event.kind is EventKind.REPORT]
    if is_known or job.learn_at is not None or not folded.ended or not came:
        return job
    heard = max(came)
    pace = min(max((heard - job.created_at) / 8, LEARN_LEAST), LEARN_MOST)
    return replace(job, learn_at=heard if job.learned_at is None else max(heard, job.learned_at + pace))


def _carry_forward(folded: FoldedJob, known: Mapping[str, Run]) -> None:
    ended = sorted((run for run in folded.runs if run.ended_at is not None), key=order_of)
    ended = [run for run in ended if _ending(run) != _ending(known.get(run.run_key))]
    if not ended:
        return
    folded.ended = ended
    newest = folded.before.last_finished_at
    was_ended = any(run.run_key in known and known[run.run_key].ended_at is not None for run in ended)
    folded.is_late = was_ended or (newest is not None and any(run.ended_at <= newest for run in ended if run.ended_at))
    if not folded.is_late:
        for run in ended:
            folded.after = after_run(folded.after, run)


def _ending(run: Run | None) -> tuple[datetime | None, str | None] | None:
    return None if run is None else (run.ended_at, run.decided_by)


def _count_days(folded: FoldedJob, known: Mapping[str, Run], zone: ZoneInfo) -> None:
    """Add what the changed runs count now and take out what they counted before, so that a day is right in any order."""
    folded.runs = [replace(run, day=_day_of(run, zone)) for run in folded.runs]
    for run in folded.runs:
        for counted, sign in ((known.get(run.run_key), -1), (run, 1)):
            if counted is None or counted.day is None:
                continue
            sums = folded.sums.setdefault(counted.day, {})
            for name, amount in _amounts(counted).items():
                sums[name] = sums.get(name, 0) + sign * amount


def _day_of(run: Run, zone: ZoneInfo) -> date | None:
    moment = run.started_at if run.outcome is RunOutcome.MISSED else run.ended_at
    return None if moment is None or run.outcome not in _SUM_OF else moment.astimezone(zone).date()


def _amounts(run: Run) -> Sums:
    if run.outcome is None:
        return {}
    return {
        _SUM_OF[run.outcome]: 1,
        "bytes_processed": int(_bounded(run.metrics.get("bytes_processed", 0))),
        "bytes_stored": int(_bounded(run.metrics.get("bytes_stored", 0))),
        "duration_s": _bounded(run.duration_s),
    }


def _bounded(amount: float) -> float:
    return min(max(amount, 0), MOST)


def group_by_job(events: Sequence[Event], names: Mapping[str, str]) -> dict[tuple[str, str, str], list[Event]]:
    """Give events by (agent id, job name, activity); `names`: event id to job name, without those that speak of no job."""
    grouped: dict[tuple[str, str, str], list[Event]] = {}
    for event in events:
        if event.id in names:
            grouped.setdefault((event.agent_id, names[event.id], event.activity.value), []).append(event)
    return grouped
