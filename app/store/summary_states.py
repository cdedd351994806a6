"""Which jobs a summary is about and which period it covers, and the query that counts the jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_

from app.domain.event import RunOutcome
from app.domain.job_status import ShownState
from app.domain.summary_schedule import SummarySchedule
from app.store.jobs import WITHOUT_EXPECTATION, job_matches
from app.store.shown_state import IS_COUNTED, joined_jobs, state_at
from app.store.tables import jobs, runs

SHORT_PERIOD = timedelta(hours=26)  # a day, also the one on which clocks are put back: its runs are not counted apart
STRIP_DAYS, MOST_STRIP_DAYS = 14, 62


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
        matches=and_(job_matches(schedule.customer_id, schedule.matchers), jobs.c.created_at <= end, IS_COUNTED),
        customer_id=schedule.customer_id,
        start=start,
        end=end,
        first_day=min(first.date() + timedelta(days=int(first.time() > time(0))), last.date()),
        last_day=last.date() - timedelta(days=int(last.time() == time(0))),
        is_all=schedule.customer_id is None and not schedule.matchers,
    )


def job_states(scope: SummaryScope) -> Mapping[str, ColumnElement[bool]]:
    """Return the condition of each state that a summary counts; a job has exactly one of them."""
    shown = state_at(scope.end)
    return {state.value: shown == state.value for state in ShownState}


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
