"""A job: what an agent backs up, its present state, and how a run changes it. Pure.

The state is a function of the set of ended runs, ordered by their end. `apply_run` applies one run that is newer than all others.
`restore_state` makes the same state from a few facts about the history, which cost the same however long it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from app.core.replacing import replace
from app.domain.announced_run import AnnouncedRun
from app.domain.event import PROVEN, Activity, RunOutcome
from app.domain.expectation import Expectation
from app.domain.run import Run


class JobState(StrEnum):
    """The state of a job, by its newest ended run."""

    NEW = "new"
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    MISSED = "missed"


class ExpectationSource(StrEnum):
    """Where the expectation of a job comes from: an administrator, its tool, or its own runs, which nobody confirmed."""

    SET = "set"
    ANNOUNCED = "announced"
    LEARNED = "learned"


@dataclass(frozen=True)  # without slots, so that it is copied quickly: see core/replacing.py
class Job:
    """One job of one agent and activity, with its counters. Times are UTC.

    `told_expectation` and `told_at`: what its tool announced last, and when. `dismissed_at`: when an administrator decided that
    the job need not run; without an expectation of an administrator, it is then not expected at all.
    `unclear_at`: when its newest unclear run ended, unless a run proved something since. `overrun_since`: when a run began
    that takes too long, until none does and something is proven since. `late_failure_at`: when the newest failure ended after which nothing good
    came, although a run with the same or a later time ended well.
    """

    id: str
    customer_id: str
    agent_id: str
    name: str
    activity: Activity
    created_at: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    expectation: Expectation | None = None
    proposed_expectation: Expectation | None = None
    told_expectation: Expectation | None = None
    told_at: datetime | None = None
    dismissed_at: datetime | None = None
    learned_at: datetime | None = None
    learn_at: datetime | None = None
    state: JobState = JobState.NEW
    failures_in_row: int = 0
    warnings_in_row: int = 0
    missed_in_row: int = 0
    failing_since: datetime | None = None
    running_since: datetime | None = None
    overrun_since: datetime | None = None
    unclear_at: datetime | None = None
    late_failure_at: datetime | None = None
    last_outcome: RunOutcome | None = None
    last_finished_at: datetime | None = None
    last_success_at: datetime | None = None
    last_came_at: datetime | None = None
    last_message: str | None = None
    last_run_id: str | None = None
    last_due_at: datetime | None = None
    next_due_at: datetime | None = None
    overdue_at: datetime | None = None
    version: int = 1

    @property
    def expectation_source(self) -> ExpectationSource | None:
        """Where the expectation in force comes from; None: the job is not expected to run."""
        if self.expectation is not None:
            return ExpectationSource.SET
        if self.dismissed_at is not None:
            return None
        if self.told_expectation is not None:
            return ExpectationSource.ANNOUNCED
        return ExpectationSource.LEARNED if self.proposed_expectation is not None else None

    @property
    def active_expectation(self) -> Expectation | None:
        """The expectation in force, by which the clock calls the job missed."""
        match self.expectation_source:
            case ExpectationSource.SET:
                return self.expectation
            case ExpectationSource.ANNOUNCED:
                return self.told_expectation
            case ExpectationSource.LEARNED:
                return self.proposed_expectation
            case None:
                return None

    @property
    def announced_run(self) -> AnnouncedRun | None:
        """The next run that its tool announced last."""
        announced = self.told_expectation
        if announced is None or announced.period is None or self.told_at is None:
            return None
        return AnnouncedRun(self.told_at, announced.period, announced.grace)


# Runs in a row are counted up to here: a longer row would have to be counted again from its start after each late report.
MOST_IN_ROW = 10_000
_STATES = {
    RunOutcome.SUCCESS: JobState.OK,
    RunOutcome.WARNING: JobState.WARNING,
    RunOutcome.FAILURE: JobState.FAILED,
    RunOutcome.MISSED: JobState.MISSED,
}


HistoryOrder = tuple[datetime, str]  # a place in the history of a job


def history_order(run: Run) -> HistoryOrder:
    """Return the sort key of an ended run in its job's history: the same in whatever order the events came."""
    if run.ended_at is None:
        raise ValueError("a run that has not ended has no place in the history")
    return (run.ended_at, run.run_key)


def apply_run(job: Job, run: Run) -> Job:
    """Return the job after an ended run that is newer than all before. A cancelled run resets only the count of missed runs.

    Of an unclear run only its end is noted: nobody knows how it went, so all else stays as the last proven run left it.

    A run with warnings ends a row of failures, because it stored something; only a success ends a row of warnings. A missed
    run leaves both counts as they are.
    """
    outcome = run.outcome
    if outcome is None or run.ended_at is None:
        raise ValueError("only an ended run changes its job")
    if outcome is RunOutcome.UNCLEAR:
        return replace(job, last_finished_at=run.ended_at, unclear_at=run.ended_at)
    bad = outcome in (RunOutcome.FAILURE, RunOutcome.MISSED)
    good = outcome in (RunOutcome.SUCCESS, RunOutcome.WARNING)
    failures = _add_one(job.failures_in_row) if outcome is RunOutcome.FAILURE else 0 if good else job.failures_in_row
    missed = _add_one(job.missed_in_row) if outcome is RunOutcome.MISSED else 0
    warnings = (
        _add_one(job.warnings_in_row)
        if outcome is RunOutcome.WARNING
        else 0
        if outcome is RunOutcome.SUCCESS
        else job.warnings_in_row
    )
    failed_at = run.started_at if outcome is RunOutcome.MISSED else run.ended_at
    since = job.failing_since or failed_at if bad else None if good else job.failing_since
    return replace(
        job,
        state=_STATES.get(outcome, job.state),
        failures_in_row=failures,
        warnings_in_row=warnings,
        missed_in_row=missed,
        failing_since=since if failures or missed else None,
        unclear_at=None if outcome in PROVEN else job.unclear_at,
        last_outcome=outcome,
        last_finished_at=run.ended_at,
        last_success_at=run.ended_at if outcome is RunOutcome.SUCCESS else job.last_success_at,
        last_message=run.message,
        last_run_id=run.id,
    )


def overrun_since(job: Job, hangs_since: datetime | None, proven_until: datetime | None) -> datetime | None:
    """Return the job's new `overrun_since`. A run that was given up proves nothing, so it stays until a run ends that does.

    `hangs_since`: when the newest run began that takes too long and has not ended. `proven_until`: when the newest run ended that is
    not unclear.
    """
    since = job.overrun_since or hangs_since
    if hangs_since is None and since is not None and proven_until is not None and proven_until >= since:
        return None
    return since


def late_failure_at(job: Job, fresh: Sequence[Run], late_failure: Run | None) -> datetime | None:
    """Return the job's new `late_failure_at`, after the runs that ended just now and, if there is one, a late failure among them.

    A failure that is counted in a row is no late one. A good end with a time after that of the failure ends it, as it closes its alert.
    Of several late failures the newest counts: a good end between them answers only the older ones.
    """
    since, good = job.late_failure_at, ROW_ENDED_BY[RunOutcome.FAILURE]
    if late_failure is not None and late_failure.ended_at is not None and not job.failures_in_row:
        return late_failure.ended_at if since is None else max(since, late_failure.ended_at)
    if since is not None and any(r.outcome in good and r.ended_at is not None and r.ended_at >= since for r in fresh):
        return None
    return since


def _add_one(in_row: int) -> int:
    return min(in_row + 1, MOST_IN_ROW)


@dataclass(frozen=True, slots=True)
class JobHistory:
    """What a job's state depends on.

    `newest`: the newest ended run of each outcome. `counts`: how many failures, warnings and missed runs came since the runs of
    ROW_ENDED_BY, at most MOST_IN_ROW. `first_failure`: the first of these failures. `first_missed`: the first of the missed runs
    right before it, or of those at the end where none failed.
    """

    newest: Mapping[RunOutcome, Run]
    counts: Mapping[RunOutcome, int]
    first_failure: Run | None = None
    first_missed: Run | None = None

    def newest_of(self, *outcomes: RunOutcome) -> Run | None:
        """Return the newest run that ended with one of these outcomes."""
        return newest_of(self.newest, *outcomes)


# What ends a row of runs of each outcome that is counted.
ROW_ENDED_BY = {
    RunOutcome.FAILURE: (RunOutcome.SUCCESS, RunOutcome.WARNING),
    RunOutcome.WARNING: (RunOutcome.SUCCESS,),
    RunOutcome.MISSED: (RunOutcome.SUCCESS, RunOutcome.WARNING, RunOutcome.FAILURE, RunOutcome.CANCELLED),
}


def newest_of(newest: Mapping[RunOutcome, Run], *outcomes: RunOutcome) -> Run | None:
    """Return the run that ended last among the newest runs of these outcomes."""
    return max((newest[outcome] for outcome in outcomes if outcome in newest), key=history_order, default=None)


def restore_state(job: Job, history: JobHistory) -> Job:
    """Return the job in the state that `apply_run` would reach by applying all its ended runs in their order."""
    clear = history.newest_of(*(outcome for outcome in history.newest if outcome is not RunOutcome.UNCLEAR))
    decisive = history.newest_of(*_STATES)
    finished = history.newest_of(*history.newest)
    success = history.newest.get(RunOutcome.SUCCESS)
    unclear = history.newest_of(*PROVEN, RunOutcome.UNCLEAR)
    failures, missed = history.counts.get(RunOutcome.FAILURE, 0), history.counts.get(RunOutcome.MISSED, 0)
    since = history.first_failure.ended_at if history.first_failure is not None else None
    if history.first_missed is not None:
        since = history.first_missed.started_at
    return replace(
        job,
        state=JobState.NEW if decisive is None or decisive.outcome is None else _STATES[decisive.outcome],
        failures_in_row=failures,
        warnings_in_row=history.counts.get(RunOutcome.WARNING, 0),
        missed_in_row=missed,
        failing_since=since if failures or missed else None,
        unclear_at=unclear.ended_at if unclear is not None and unclear.outcome is RunOutcome.UNCLEAR else None,
        last_outcome=None if clear is None else clear.outcome,
        last_finished_at=None if finished is None else finished.ended_at,
        last_success_at=None if success is None else success.ended_at,
        last_message=None if clear is None else clear.message,
        last_run_id=None if clear is None else clear.id,
    )
