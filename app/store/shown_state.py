"""The state of a job as everything shows it: pages, summaries, /v1/status, /metrics/jobs and check_tocsin use these conditions.

It depends on runs and expectations only. Whether an alert is open depends on rules and on people too, and must not change a state:
a failure without an alert would look like a success.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal_column, or_, select, union

from app.domain.agent import AgentState
from app.domain.alert import AlertKind
from app.domain.canary import JOB_PREFIX
from app.domain.event import PROVEN, RunOutcome
from app.domain.job import JobState
from app.domain.job_status import LATE_IS_KNOWN_AFTER, ShownState
from app.domain.service_event import AGENT
from app.store.tables import JOB_TO_READ, agents, alerts, customers, jobs, runs

_IS_WELL = and_(jobs.c.state == JobState.OK.value, jobs.c.unclear_at.is_(None), jobs.c.overrun_since.is_(None))
# An agent that nobody approved must not add to what looks well, and its trouble is reported all the same. The job under which lost
# canaries are reported is shown while mail is lost, and does not count as a backup afterwards.
IS_COUNTED = and_(
    or_(
        agents.c.state == AgentState.APPROVED.value,
        and_(agents.c.state == AgentState.WAITING.value, ~_IS_WELL),
    ),
    ~and_(agents.c.name == AGENT, jobs.c.name.startswith(JOB_PREFIX, autoescape=True), _IS_WELL),
)
_STATE_AFTER = {
    RunOutcome.SUCCESS.value: JobState.OK.value,
    RunOutcome.WARNING.value: JobState.WARNING.value,
    RunOutcome.FAILURE.value: JobState.FAILED.value,
    RunOutcome.MISSED.value: JobState.MISSED.value,
}


def joined_jobs(*columns: Any) -> Select[Any]:  # noqa: ANN401  (whatever can be selected)
    """Return a query of jobs with their agents and customers."""
    return (
        select(*columns)
        .select_from(jobs)
        .join(agents, agents.c.id == jobs.c.agent_id)
        .join(customers, customers.c.id == jobs.c.customer_id)
    )


def may_differ(at: datetime) -> ColumnElement[bool]:
    """Return a condition that indexes answer: for a job that does not meet it, the column `state` is ok or new, and is what is shown."""
    watched = select(jobs.c.id).where(literal_column(JOB_TO_READ))
    overdue = select(jobs.c.id).where(jobs.c.overdue_at <= at)
    return jobs.c.id.in_(union(watched, overdue))


def state_now(at: datetime) -> ColumnElement[str]:
    """Return the state of a job, of which no run ended after this moment."""
    return _worst_first(
        failed=jobs.c.failures_in_row > 0,
        decisive=jobs.c.state,
        # A worker that stopped notices nothing: what is late for long must not look well until it runs again.
        is_late=func.coalesce(jobs.c.overdue_at <= at - LATE_IS_KNOWN_AFTER, False),
        overrun=or_(
            jobs.c.overrun_since <= at,
            jobs.c.id.in_(select(runs.c.job_id).where(runs.c.overrun_at <= at - LATE_IS_KNOWN_AFTER)),
        ),
        unclear=jobs.c.unclear_at.is_not(None),
    )


def state_at(at: datetime) -> ColumnElement[str]:
    """Return the state of a job at a moment that may be past. Where a run ended since, it is looked up in the runs until then."""
    # Only in the alerts is kept what took too long and has ended since.
    hung = exists().where(
        alerts.c.subject_id == jobs.c.id,
        alerts.c.kind == AlertKind.OVERRUN,
        alerts.c.opened_at <= at,
        or_(alerts.c.closed_at.is_(None), alerts.c.closed_at > at),
    )
    newest = _outcome_at(at, *PROVEN, RunOutcome.UNCLEAR)
    then = _worst_first(
        failed=_outcome_at(at, *PROVEN) == RunOutcome.FAILURE.value,
        decisive=case(
            _STATE_AFTER,
            value=_outcome_at(at, *(RunOutcome(name) for name in _STATE_AFTER)),
            else_=JobState.NEW.value,
        ),
        is_late=literal_column("1 = 0"),
        overrun=hung,
        unclear=newest == RunOutcome.UNCLEAR.value,
    )
    return case((is_changed_since(at), then), else_=state_now(at))


def is_silent(at: datetime) -> ColumnElement[bool]:
    """Return whether an agent counts as silent at this moment."""
    return and_(agents.c.silent_since <= at, agents.c.state == AgentState.APPROVED.value)


def is_changed_since(at: datetime) -> ColumnElement[bool]:
    """Return whether a run of the job ended after this moment."""
    return func.coalesce(jobs.c.last_finished_at > at, False)


def _worst_first(
    *,
    failed: ColumnElement[bool],
    decisive: ColumnElement[str],
    is_late: ColumnElement[bool],
    overrun: ColumnElement[bool],
    unclear: ColumnElement[bool],
) -> ColumnElement[str]:
    # A missed job whose expectation an administrator dismissed counts as its last run ended, or it would stay missed for ever.
    is_excused = and_(decisive == JobState.MISSED.value, jobs.c.dismissed_at.is_not(None))
    is_missed = or_(decisive == JobState.MISSED.value, is_late)
    return case(
        (failed, ShownState.FAILED.value),
        (and_(is_missed, ~is_excused), ShownState.MISSED.value),
        (overrun, ShownState.OVERRUN.value),
        (unclear, ShownState.UNCLEAR.value),
        (
            or_(decisive == JobState.WARNING.value, and_(is_excused, jobs.c.warnings_in_row > 0)),
            ShownState.WARNING.value,
        ),
        (or_(decisive == JobState.OK.value, is_excused), ShownState.OK.value),
        else_=ShownState.NEW.value,
    )


def _outcome_at(at: datetime, *outcomes: RunOutcome) -> ColumnElement[str | None]:
    """Return the outcome of the job's newest run of these outcomes that had ended by this moment."""
    ended = runs.c.job_id == jobs.c.id, runs.c.ended_at <= at, runs.c.outcome.in_(outcomes)
    newest = select(runs.c.outcome).where(*ended).order_by(runs.c.ended_at.desc(), runs.c.run_key.desc()).limit(1)
    return newest.correlate(jobs).scalar_subquery()
