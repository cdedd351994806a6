"""Folds events into runs, jobs and daily roll-ups. Pure: it returns what is to be stored.

The state of a job does not depend on the order in which its events came. Usually they come in order, and the state is carried
forward; after an event that is late, or that changes a run that had ended, the job's state is restored from its history.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from app.core.ids import new_id
from app.core.replacing import replace
from app.domain.announced_run import announced_run_in, announced_slot
from app.domain.event import Event, EventKind, RunOutcome, is_time_proven, outcome_of
from app.domain.expectation import next_slot, overdue_time, too_long_at
from app.domain.job import ExpectationSource, Job, apply_run, history_order
from app.domain.pairing import LONGEST_PAIRED, NearbyRuns, pair_runs
from app.domain.run import NAMED, Run, end_unclear, merge, run_keys_of
from app.domain.unclear import newest_withdrawn

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
    RunOutcome.UNCLEAR: "unclear",
    RunOutcome.MISSED: "missed",
}
Sums = dict[str, float]


@dataclass(slots=True)
class FoldedJob:
    """One job after its events. `is_late`: its state must be restored from the stored history."""

    before: Job
    after: Job
    runs: list[Run] = field(default_factory=list)
    run_of: dict[str, str] = field(default_factory=dict)  # event id -> run id
    sums: dict[date, Sums] = field(default_factory=dict)
    is_late: bool = False
    ended: list[Run] = field(default_factory=list)  # those that changed `before` to `after`, newest last
    fresh: list[Run] = field(default_factory=list)  # those that ended just now, or otherwise than before; newest last
    unclear: list[Run] = field(default_factory=list)  # the runs that ended unclear just now
    withdrawn: Run | None = None  # the newest end that proved something before these events, and does not any more
    has_clear_end: bool = False  # whether a run ended otherwise just now; only then may an alert of the job change
    overran: Event | None = None
    late_failure: Run | None = None  # it came after a newer success, and nothing proves that the success came later

    @property
    def is_routine(self) -> bool:
        """Whether no alert of the job may open: no run in a row was bad, none hangs, and none ended unclear or proves less than before."""
        in_row = self.after.failures_in_row + self.after.warnings_in_row + self.after.missed_in_row
        troubles = self.overran, self.late_failure, self.withdrawn
        return in_row == 0 and troubles == (None, None, None) and not self.unclear


def fold_job(
    job: Job, known: Mapping[str, Run], events: Sequence[Event], zone: str, nearby: NearbyRuns | None = None
) -> FoldedJob:
    """Fold the events of one job, in any order, into its runs and state. `known` has its stored runs by run key.

    `nearby`: the stored runs around the places that `places_to_pair` returns, where it returns any.
    """
    folded = FoldedJob(before=job, after=job)
    fresh: dict[str, Run] = {}
    for event in events:
        if event.kind is EventKind.OVERRUN:
            folded.overran = event
            continue
        if event.kind is EventKind.REPORT and event.phase is None and outcome_of(event) is None:
            continue  # a plain message reports nothing about a run
        own, *_ = keys = run_keys_of(event)
        for key in keys:
            run = fresh.get(key) or known.get(key)
            if run is None:
                run = Run(new_id("run"), job.customer_id, job.id, key, heard_at=event.occurred_at)
            fresh[key] = merge(run, event) if key == own else end_unclear(run, event.occurred_at)
            folded.run_of.setdefault(event.id, run.id)
    if nearby is not None:
        known = {**nearby.runs, **known}
        fresh |= {run.run_key: run for run in pair_runs({**known, **fresh}.values(), nearby.places)}
    folded.runs = [_with_deadline(run, job) for key, run in fresh.items() if run != known.get(key)]
    folded.withdrawn = newest_withdrawn(known, folded.runs) if known else None
    folded.after = _expect_next(job, events)
    _carry_forward(folded, known)
    folded.late_failure = _find_late_failure(folded, events)
    folded.after = _learn_or_give_up(folded, events)
    if any(
        event.kind is not EventKind.CANARY for event in events
    ):  # a lost canary is an alert, and no backup that failed
        _count_days(folded, known, ZoneInfo(zone))
    return folded


def _with_deadline(run: Run, job: Job) -> Run:
    """Return an open run with the time from which it takes too long.

    A run without a name that began before a later end is superseded: that end may be its own. A run that its agent names is not,
    because it may hang while a newer one ends well; where nothing says how long it may take, three days are too long.
    """
    if run.outcome is not None or run.started_at is None:
        return run
    is_overtaken = job.last_finished_at is not None and run.started_at <= job.last_finished_at
    if is_overtaken and not run.run_key.startswith(NAMED):
        return replace(run, outcome=RunOutcome.SUPERSEDED, overrun_at=None)
    expectation = job.active_expectation
    if expectation is not None and job.expectation_source is not ExpectationSource.SET:
        expectation = replace(expectation, longest=None)  # a duration that nobody confirmed is a guess
    if expectation is not None:
        return replace(run, overrun_at=too_long_at(expectation, run.started_at))
    return replace(run, overrun_at=run.started_at + LONGEST_PAIRED if is_overtaken else None)


def _expect_next(before: Job, events: Sequence[Event]) -> Job:
    """Note the newest report and announcement, and move on to the slot that is expected next.

    A late report does not replace what a newer one announced. The slot never moves back, because a late event must not make a
    settled slot overdue again; only a new announcement of the tool may be earlier than the one before.
    """
    job = before
    reports = [e for e in events if e.kind is EventKind.REPORT and (e.phase is not None or outcome_of(e) is not None)]
    if reports:
        came_at = max(event.occurred_at for event in reports)
        labels = job.labels
        if labelled := [event for event in reports if event.labels]:
            newest = max(labelled, key=lambda event: (event.occurred_at, event.key))
            if before.last_came_at is None or newest.occurred_at >= before.last_came_at:
                labels = newest.labels
        job = replace(job, labels=labels, last_came_at=max(before.last_came_at or came_at, came_at))
    announced = max([run for event in events if (run := announced_run_in(event)) is not None], default=None)
    if announced is not None and (before.announced_run is None or announced > before.announced_run):
        job = replace(job, told_expectation=announced.expectation, told_at=announced.at)
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
    return replace(job, last_due_at=settled, next_due_at=next_due, overdue_at=overdue_time(expectation, next_due))


def _learn_or_give_up(folded: FoldedJob, events: Sequence[Event]) -> Job:
    """Have the cadence learned again where no administrator set an expectation, or stop expecting the job.

    Learning is soon while the job is new, then less and less often. After some missed slots the job is no longer expected: its
    alert stays open, and the next run starts again.
    """
    job = folded.after
    source = job.expectation_source
    is_known = source in (ExpectationSource.SET, ExpectationSource.ANNOUNCED) or job.dismissed_at is not None
    received: list[datetime] = []
    if not is_known and job.learn_at is None and folded.ended:
        received = [event.received_at for event in events if event.kind is EventKind.REPORT]
    if received:
        newest = max(received)
        interval = min(max((newest - job.created_at) / 8, LEARN_INTERVAL[0]), LEARN_INTERVAL[1])
        job = replace(job, learn_at=newest if job.learned_at is None else max(newest, job.learned_at + interval))
    if job.missed_in_row >= GIVEN_UP_AFTER and source is not ExpectationSource.SET:
        job = replace(job, next_due_at=None, overdue_at=None)
    return job


def _carry_forward(folded: FoldedJob, known: Mapping[str, Run]) -> None:
    ended = [run for run in folded.runs if run.ended_at is not None and _ending(run) != _ending(known.get(run.run_key))]
    if not ended:
        return
    ended.sort(key=history_order)
    folded.ended = folded.fresh = ended
    folded.unclear = [run for run in ended if run.outcome is RunOutcome.UNCLEAR]
    folded.has_clear_end = len(folded.unclear) < len(ended)
    newest = folded.before.last_finished_at
    was_ended = any(run.run_key in known and known[run.run_key].ended_at is not None for run in ended)
    folded.is_late = was_ended or (newest is not None and any(run.ended_at <= newest for run in ended if run.ended_at))
    if not folded.is_late:
        for run in ended:
            folded.after = apply_run(folded.after, run)


def _find_late_failure(folded: FoldedJob, events: Sequence[Event]) -> Run | None:
    """Return the newest failure that by its own time came before another run, but was received after that run's report.

    Its clock may be behind: it would be hidden by a run that ended before it. A time that is proven hides it rightly, unless the other
    run has the same one: many senders state whole seconds.
    """
    if not any(run.outcome is RunOutcome.FAILURE for run in folded.ended):
        return None
    received = {event.key: event.received_at for event in events if event.kind is EventKind.REPORT}
    unproven = {event.key for event in events if event.kind is EventKind.REPORT and not is_time_proven(event)}
    newest = folded.before.last_finished_at
    last = max([run.ended_at for run in folded.ended if run.ended_at is not None], default=None)
    for run in reversed(folded.ended):
        if run.outcome is not RunOutcome.FAILURE or run.ended_at is None or run.decided_by not in received:
            continue
        own, is_unproven = received[run.decided_by], run.decided_by in unproven
        if newest is not None and run.ended_at <= newest and (is_unproven or run.ended_at == newest == last):
            return run
        for other in folded.ended:
            came = received.get(other.decided_by or "", own)
            if other is run or other.ended_at is None:
                continue
            if is_unproven and other.ended_at > run.ended_at and came < own:
                return run
            if other.ended_at == run.ended_at == last and came <= own:
                return run
    return None


def _ending(run: Run | None) -> tuple[datetime | None, str | None] | None:
    return None if run is None else (run.ended_at, run.decided_by)


def _count_days(folded: FoldedJob, known: Mapping[str, Run], zone: ZoneInfo) -> None:
    """Add what the changed runs count now and subtract what they counted before, so that a day is correct in any order."""
    for place, run in enumerate(folded.runs):
        at = run.started_at if run.outcome is RunOutcome.MISSED else run.ended_at
        day = at.astimezone(zone).date() if at is not None and run.outcome in _SUM_OF else None
        if day != run.day:
            folded.runs[place] = replace(run, day=day)
    for run in folded.runs:
        for counted, sign in ((known.get(run.run_key), -1), (run, 1)):
            if counted is None or counted.day is None or counted.outcome is None:
                continue
            amounts = {
                _SUM_OF[counted.outcome]: 1,
                "bytes_processed": int(min(max(counted.metrics.get("bytes_processed", 0), 0), MAX_AMOUNT)),
                "bytes_stored": int(min(max(counted.metrics.get("bytes_stored", 0), 0), MAX_AMOUNT)),
                "duration_s": min(max(counted.duration_s, 0), MAX_AMOUNT),
            }
            sums = folded.sums.setdefault(counted.day, {})
            for name, amount in amounts.items():
                sums[name] = sums.get(name, 0) + sign * amount
