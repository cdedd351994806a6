"""A job: what an agent backs up, its present state, and how a run changes it. Pure.

The state is a function of the set of ended runs, ordered by their end; `after_run` is its step.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from app.domain.announced_run import Told
from app.domain.event import Activity, RunOutcome
from app.domain.expectation import Expectation
from app.domain.run import Run


class JobState(StrEnum):
    """How a job stands, by its newest ended run."""

    NEW = "new"
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Job:
    """One job of one agent and activity, with its counters. Times are UTC."""

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


class Basis(StrEnum):
    """Whose word an expectation rests on: an administrator's, the tool's own, or the job's habit that nobody confirmed."""

    SET = "set"
    TOLD = "told"
    LEARNED = "learned"


def basis_of(job: Job) -> Basis | None:
    """Say on what it rests that the job is awaited; None: it is not."""
    if job.expectation is not None:
        return Basis.SET
    if job.dismissed_at is not None:
        return None
    if job.told_expectation is not None:
        return Basis.TOLD
    return Basis.LEARNED if job.proposed_expectation is not None else None


def told_of(job: Job) -> Told | None:
    """Give what its tool told of its next run."""
    told = job.told_expectation
    if told is None or told.period is None or job.told_at is None:
        return None
    return Told(job.told_at, told.period, told.grace)


def awaited_as(job: Job) -> Expectation | None:
    """Give the expectation that the clock holds the job to."""
    match basis_of(job):
        case Basis.SET:
            return job.expectation
        case Basis.TOLD:
            return job.told_expectation
        case Basis.LEARNED:
            return job.proposed_expectation
        case None:
            return None


_STATES = {
    RunOutcome.SUCCESS: JobState.OK,
    RunOutcome.WARNING: JobState.WARNING,
    RunOutcome.FAILURE: JobState.FAILED,
    RunOutcome.MISSED: JobState.MISSED,
}


def order_of(run: Run) -> tuple[datetime, str]:
    """The place of an ended run in its job's history: the same whatever order the events came in."""
    if run.ended_at is None:
        raise ValueError("a run that has not ended has no place in the history")
    return (run.ended_at, run.run_key)


def after_run(job: Job, run: Run) -> Job:
    """Give the job after an ended run that is newer than all before. A cancelled run changes no counter but the missed ones.

    A run with warnings ends a row of failures, for it stored something; only a success ends a row of warnings. A slot
    that was missed leaves both as they were.
    """
    outcome = run.outcome
    if outcome is None or run.ended_at is None:
        raise ValueError("only an ended run changes its job")
    bad = outcome in (RunOutcome.FAILURE, RunOutcome.MISSED)
    good = outcome in (RunOutcome.SUCCESS, RunOutcome.WARNING)
    failures = job.failures_in_row + 1 if outcome is RunOutcome.FAILURE else 0 if good else job.failures_in_row
    missed = job.missed_in_row + 1 if outcome is RunOutcome.MISSED else 0
    warnings = (
        job.warnings_in_row + 1
        if outcome is RunOutcome.WARNING
        else 0
        if outcome is RunOutcome.SUCCESS
        else job.warnings_in_row
    )
    began = run.started_at if outcome is RunOutcome.MISSED else run.ended_at
    since = job.failing_since or began if bad else None if good else job.failing_since
    return replace(
        job,
        state=_STATES.get(outcome, job.state),
        failures_in_row=failures,
        warnings_in_row=warnings,
        missed_in_row=missed,
        failing_since=since if failures or missed else None,
        last_outcome=outcome,
        last_finished_at=run.ended_at,
        last_success_at=run.ended_at if outcome is RunOutcome.SUCCESS else job.last_success_at,
        last_message=run.message,
        last_run_id=run.id,
    )


def replay(job: Job, runs: Iterable[Run]) -> Job:
    """Give the job's counters anew from its ended runs, in any order. `runs` must reach back to the last success."""
    blank = replace(
        job,
        state=JobState.NEW,
        failures_in_row=0,
        warnings_in_row=0,
        missed_in_row=0,
        failing_since=None,
        last_outcome=None,
        last_finished_at=None,
        last_success_at=None,
        last_message=None,
        last_run_id=None,
    )
    for run in sorted((r for r in runs if r.ended_at is not None), key=order_of):
        blank = after_run(blank, run)
    return blank
