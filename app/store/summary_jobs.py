"""Counts the jobs of a summary and chooses those that it lists: how each was at the end of the period, and what was expected."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    CTE,
    ColumnElement,
    CompoundSelect,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)

from app.domain.alert import AlertKind
from app.domain.event import RunOutcome
from app.domain.job import JobState
from app.domain.job_status import ShownState
from app.store.job_states import joined_jobs, state_at
from app.store.jobs import WITHOUT_EXPECTATION
from app.store.prepared import Builder, Values
from app.store.summary_scope import END, LATE_SINCE, START, ScopedStatement, ScopeKind, SummaryScope
from app.store.tables import agents, alerts, customers, jobs, runs
from app.store.transactions import ReadTx
from app.store.types import Utc

# How many jobs each section lists; the rest is counted. Nobody would read 100 000 lines.
MOST = {
    "failed": 200,
    "missed": 200,
    "overrun": 200,
    "unclear": 200,
    "warning": 100,
    "recovered": 50,
    "new": 20,
    "ok": 100,
}
_COUNTED = ("expected", "heard", "without_expectation", "unconfirmed")
_BEFORE, _EARLIER = bindparam("before", type_=Utc), bindparam("earlier", type_=Utc)


@dataclass(frozen=True, slots=True)
class SummaryJobs:
    """The jobs of a summary: how many are in each state, what was expected, and the ids of those that each section lists, in their order."""

    states: Mapping[str, int]
    expected: int
    heard: int
    without_expectation: int
    unconfirmed: int
    listed: Mapping[str, tuple[str, ...]]

    @property
    def total(self) -> int:
        """Return how many jobs there are."""
        return sum(self.states.values())


async def read_jobs(tx: ReadTx, scope: SummaryScope) -> SummaryJobs:
    """Count the jobs of a summary, and list those of each section: a state, or `recovered`."""
    states: dict[str, int] = {}
    sums = dict.fromkeys(_COUNTED, 0)
    listed: dict[str, list[tuple[int, str]]] = {title: [] for title in MOST}
    for title, job_id, place, count, *numbers in await tx.fetch(_JOBS.of(scope), **scope.parameters()):
        if job_id is not None:
            listed[title].append((place, job_id))
            continue
        states[title] = count
        for name, number in zip(_COUNTED, numbers, strict=True):
            sums[name] += number
    return SummaryJobs(
        states, **sums, listed={title: tuple(job_id for _, job_id in sorted(found)) for title, found in listed.items()}
    )


def _build_jobs(kind: ScopeKind, _: Builder) -> CompoundSelect[Values]:
    """Return the query of the counts of each state (rows without an id) and of the jobs that each section lists.

    The state of a job is worked out once for all of them, apart from the joins and orders of the lists: PostgreSQL takes so long an
    expression for so costly that it does not care how it joins, and compared each job with each agent.
    """
    # What a person dismissed did not recover.
    is_excused = and_(jobs.c.state == JobState.MISSED, jobs.c.dismissed_at.is_not(None))
    expected, reported = _expected()
    counted = (
        case((expected, 1), else_=0),
        case((and_(expected, reported), 1), else_=0),
        case((WITHOUT_EXPECTATION, 1), else_=0),
        case((jobs.c.proposed_expectation.is_not(None), 1), else_=0),
    )
    judged = joined_jobs(
        jobs.c.id,
        state_at(END, LATE_SINCE).label("state"),
        is_excused.label("is_excused"),
        jobs.c.failing_since,
        customers.c.name.label("customer"),
        agents.c.name.label("agent"),
        jobs.c.name.label("job"),
        *(number.label(name) for name, number in zip(_COUNTED, counted, strict=True)),
    )
    standing = judged.where(kind.matches()).cte("standing").prefix_with("MATERIALIZED")
    recovered = select(alerts.c.subject_id).where(
        alerts.c.closed_at >= START,
        alerts.c.closed_at < END,
        alerts.c.kind.in_((AlertKind.FAILED, AlertKind.MISSED)),
    )
    was_well = and_(standing.c.state == ShownState.OK.value, ~standing.c.is_excused, standing.c.id.in_(recovered))
    counts = select(
        standing.c.state.label("title"),
        null().label("id"),
        literal(0).label("place"),
        func.count().label("jobs"),
        *(func.sum(standing.c[name]).label(name) for name in _COUNTED),
    ).group_by(standing.c.state)
    lists = [
        _first_of(standing, title, was_well if title == "recovered" else standing.c.state == title, number)
        for title, number in MOST.items()
    ]
    return union_all(counts, *lists)


_JOBS = ScopedStatement(_build_jobs)


def _first_of(standing: CTE, title: str, condition: ColumnElement[bool], number: int) -> Select[Values]:
    """Return the query of the first jobs of one section, with their places."""
    order = ("failing_since", "customer", "agent", "job")
    first = select(standing.c.id, *(standing.c[name] for name in order)).where(condition)
    some = first.order_by(*(standing.c[name] for name in order)).limit(number).subquery()
    place = func.row_number().over(order_by=[some.c[name] for name in order])
    return select(literal(title), some.c.id, place, literal(0), *(literal(0) for _ in _COUNTED))


def _expected() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions of the jobs that were expected, and of those that reported.

    Expected are the jobs that fell due and, where no slot of a job was judged yet, those that reported or seem to be regular:
    so no more jobs are heard from than expected.
    """
    ended = and_(runs.c.job_id == jobs.c.id, runs.c.ended_at >= START, runs.c.ended_at <= END)
    began = and_(runs.c.started_at >= START, runs.c.started_at <= END)
    ran = or_(
        exists().where(ended, runs.c.outcome != RunOutcome.MISSED),
        exists().where(runs.c.job_id == jobs.c.id, runs.c.ended_at > END, began),
        exists().where(runs.c.job_id == jobs.c.id, runs.c.ended_at.is_(None), runs.c.outcome.is_(None), began),
    )
    reported = _within_period(jobs.c.last_came_at, ran)
    fell_due = or_(_within_period(jobs.c.last_due_at, exists().where(ended)), jobs.c.next_due_at < END)
    # Regular seems a job without expectation that reported in each of the two periods before. Once only proves nothing: a weekly job
    # would count as not heard from on the morning after. A job with an expectation is due when that says, and before that not missed.
    ran_earlier = exists().where(runs.c.job_id == jobs.c.id, runs.c.ended_at >= _EARLIER, runs.c.ended_at < _BEFORE)
    seems_regular = and_(WITHOUT_EXPECTATION, jobs.c.last_came_at >= _BEFORE, ran_earlier)
    expected = or_(fell_due, and_(jobs.c.last_due_at.is_(None), or_(reported, seems_regular)))
    return expected, reported


def _within_period(newest: ColumnElement[datetime | None], otherwise: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return whether a time lies in the period; where the newest is later, the runs of the period decide."""
    return or_(and_(newest >= START, newest <= END), and_(newest > END, otherwise))
