"""The state of jobs at the end of a summary's period, as conditions of queries.

A summary that is worded late, after an outage, must tell how the jobs were then. The row of a job has its state of now, so where
a run ended since, the state is looked up in the runs up to the end of the period.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select

from app.domain.agent import AgentState
from app.domain.alert import AlertKind
from app.domain.canary import JOB_PREFIX
from app.domain.event import RunOutcome
from app.domain.job import JobState
from app.domain.service_event import AGENT
from app.domain.summary_schedule import SummarySchedule
from app.store.jobs import WITHOUT_EXPECTATION, job_matches
from app.store.tables import agents, alerts, customers, jobs, runs

# The job under which lost canaries are reported is shown while mail is lost, and does not count as a backup afterwards.
_IS_WELL_WAY = and_(
    agents.c.name == AGENT, jobs.c.name.startswith(JOB_PREFIX, autoescape=True), jobs.c.state == JobState.OK.value
)
# An agent that nobody approved must not add to what looks well, and its trouble is reported all the same.
_IS_COUNTED = or_(
    agents.c.state == AgentState.APPROVED.value,
    and_(agents.c.state == AgentState.WAITING.value, jobs.c.state != JobState.OK.value),
)
SHORT_PERIOD = timedelta(hours=26)  # a day, also the one on which clocks are put back: its runs are not counted apart
STRIP_DAYS, MOST_STRIP_DAYS = 14, 62
_STATE_AFTER = {
    RunOutcome.SUCCESS.value: JobState.OK.value,
    RunOutcome.WARNING.value: JobState.WARNING.value,
    RunOutcome.FAILURE.value: JobState.FAILED.value,
    RunOutcome.MISSED.value: JobState.MISSED.value,
}


@dataclass(frozen=True, slots=True)
class SummaryScope:
    """Which jobs a summary is about, as a condition, and which period it covers. `first_day` and `last_day` are the days of the period.

    Most backups run at night, so the day on which a period begins in the morning belongs to the period before.
    """

    matches: ColumnElement[bool]
    customer_id: str | None
    start: datetime
    end: datetime
    first_day: date
    last_day: date
    is_all: bool

    @property
    def is_long(self) -> bool:
        """Whether the period is longer than a day: then its runs are counted, because the states tell only how it ended."""
        return self.end - self.start > SHORT_PERIOD

    @property
    def strip_days(self) -> int:
        """How many days the strip of a job has: all of the period, and two weeks at least."""
        return min(max(STRIP_DAYS, (self.last_day - self.first_day).days + 1), MOST_STRIP_DAYS)


def scope_of(schedule: SummarySchedule, start: datetime, end: datetime) -> SummaryScope:
    """Return the scope of a schedule's summary of this period."""
    zone = ZoneInfo(schedule.time_zone)
    first, last = start.astimezone(zone), end.astimezone(zone)
    return SummaryScope(
        matches=and_(
            job_matches(schedule.customer_id, schedule.matchers), jobs.c.created_at <= end, ~_IS_WELL_WAY, _IS_COUNTED
        ),
        customer_id=schedule.customer_id,
        start=start,
        end=end,
        first_day=min(first.date() + timedelta(days=int(first.time() > time(0))), last.date()),
        last_day=last.date() - timedelta(days=int(last.time() == time(0))),
        is_all=schedule.customer_id is None and not schedule.matchers,
    )


def joined_jobs(*columns: Any) -> Select[Any]:  # noqa: ANN401  (whatever can be selected)
    """Return a query of jobs with their agents and customers, which a scope's condition may test."""
    return (
        select(*columns)
        .select_from(jobs)
        .join(agents, agents.c.id == jobs.c.agent_id)
        .join(customers, customers.c.id == jobs.c.customer_id)
    )


def is_changed_since(scope: SummaryScope) -> ColumnElement[bool]:
    """Return whether a run of the job ended after the period."""
    return func.coalesce(jobs.c.last_finished_at > scope.end, False)


def is_excused(scope: SummaryScope) -> ColumnElement[bool]:
    """Return whether an administrator dismissed the expectation of a missed job later.

    It counts as its last run ended, or it would stay among the missed jobs for ever.
    """
    return and_(_state(scope) == JobState.MISSED, jobs.c.dismissed_at.is_not(None))


def open_unclear(scope: SummaryScope) -> ColumnElement[bool]:
    """Return whether an alert is about an unclear text of the job, and was open at the end of the period."""
    was_open = and_(alerts.c.opened_at <= scope.end, or_(alerts.c.closed_at.is_(None), alerts.c.closed_at > scope.end))
    return and_(alerts.c.subject_id == jobs.c.id, alerts.c.kind == AlertKind.UNCLEAR, was_open)


def job_states(scope: SummaryScope) -> Mapping[str, ColumnElement[bool]]:
    """Return the condition of each state that a summary counts; a job has exactly one of them."""
    state, excused = _state(scope), is_excused(scope)
    newest_proven = _outcome_then(scope, RunOutcome.SUCCESS, RunOutcome.WARNING, RunOutcome.FAILURE)
    failed = case(
        (is_changed_since(scope), newest_proven == RunOutcome.FAILURE.value), else_=jobs.c.failures_in_row > 0
    ).is_(True)
    # Nobody knows how the newest run of such a job ended: it must not count as good, whatever its state was before. Two conditions,
    # so that each reads an index: the alerts that are open now are few, and so are those that closed since.
    is_open = exists().where(
        alerts.c.subject_id == jobs.c.id,
        alerts.c.kind == AlertKind.UNCLEAR,
        alerts.c.closed_at.is_(None),
        alerts.c.opened_at <= scope.end,
    )
    closed_since = jobs.c.id.in_(
        select(alerts.c.subject_id).where(
            alerts.c.closed_at > scope.end, alerts.c.kind == AlertKind.UNCLEAR, alerts.c.opened_at <= scope.end
        )
    )
    unclear = or_(is_open, closed_since)
    with_warnings = and_(excused, jobs.c.warnings_in_row > 0)
    without_warnings = and_(excused, jobs.c.warnings_in_row == 0)
    return {
        "failed": failed,
        "missed": and_(~failed, state == JobState.MISSED, ~excused),
        "unclear": and_(~failed, or_(state != JobState.MISSED, excused), unclear),
        "warning": and_(~failed, ~unclear, or_(state == JobState.WARNING, with_warnings)),
        "ok": and_(~failed, ~unclear, or_(state == JobState.OK, without_warnings)),
        "new": and_(~failed, ~unclear, state == JobState.NEW),
    }


def job_counts(scope: SummaryScope) -> Select[Any]:
    """Return the query that counts the jobs of each state, those that were expected, and those of them that reported.

    Expected are the jobs that fell due and, where no slot of a job was judged yet, those that reported or seem to be regular:
    so no more jobs are heard from than expected.
    """
    ended = and_(runs.c.job_id == jobs.c.id, runs.c.ended_at >= scope.start, runs.c.ended_at <= scope.end)
    began = and_(runs.c.started_at >= scope.start, runs.c.started_at <= scope.end)
    ran = or_(
        exists().where(ended, runs.c.outcome != RunOutcome.MISSED),
        exists().where(runs.c.job_id == jobs.c.id, runs.c.ended_at > scope.end, began),
        exists().where(runs.c.job_id == jobs.c.id, runs.c.ended_at.is_(None), runs.c.outcome.is_(None), began),
    )
    reported = _within(jobs.c.last_came_at, scope, ran)
    fell_due = or_(_within(jobs.c.last_due_at, scope, exists().where(ended)), jobs.c.next_due_at < scope.end)
    # Regular seems a job without expectation that reported in each of the two periods before. Once only proves nothing: a weekly job
    # would count as not heard from on the morning after. A job with an expectation is due when that says, and before that not missed.
    length = scope.end - scope.start
    before, earlier = scope.start - length, scope.start - 2 * length
    ran_earlier = exists().where(runs.c.job_id == jobs.c.id, runs.c.ended_at >= earlier, runs.c.ended_at < before)
    seems_regular = and_(WITHOUT_EXPECTATION, jobs.c.last_came_at >= before, ran_earlier)
    expected = or_(fell_due, and_(jobs.c.last_due_at.is_(None), or_(reported, seems_regular)))
    counted = {
        **job_states(scope),
        "expected": expected,
        "heard": and_(expected, reported),
        "without_expectation": WITHOUT_EXPECTATION,
        "unconfirmed": jobs.c.proposed_expectation.is_not(None),
    }
    sums = [func.sum(case((condition, 1), else_=0)).label(name) for name, condition in counted.items()]
    return joined_jobs(func.count().label("jobs"), *sums).where(scope.matches)


def _within(
    newest: ColumnElement[datetime | None], scope: SummaryScope, otherwise: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Return whether a time lies in the period; where the newest is later, the runs of the period decide."""
    return or_(and_(newest >= scope.start, newest <= scope.end), and_(newest > scope.end, otherwise))


def _state(scope: SummaryScope) -> ColumnElement[str]:
    outcome = _outcome_then(scope, *(RunOutcome(name) for name in _STATE_AFTER))
    then = case(_STATE_AFTER, value=outcome, else_=JobState.NEW.value)
    return case((is_changed_since(scope), then), else_=jobs.c.state)


def _outcome_then(scope: SummaryScope, *outcomes: RunOutcome) -> ColumnElement[str | None]:
    """Return the outcome of the job's newest run of these outcomes that had ended by the end of the period."""
    ended = runs.c.job_id == jobs.c.id, runs.c.ended_at <= scope.end, runs.c.outcome.in_(outcomes)
    newest = select(runs.c.outcome).where(*ended).order_by(runs.c.ended_at.desc(), runs.c.run_key.desc()).limit(1)
    return newest.correlate(jobs).scalar_subquery()
