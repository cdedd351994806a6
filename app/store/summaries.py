"""Summaries: their schedules, the jobs and the period of each, made once when they are due, and the numbers that are lacking.

Numbers are lacking where a summary was sent and the database was put back to an older state since.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    CTE,
    ColumnElement,
    CompoundSelect,
    Select,
    and_,
    case,
    exists,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from app.core.ids import new_id
from app.core.log import log
from app.domain.alert import AlertKind
from app.domain.event import RunOutcome
from app.domain.job import JobState
from app.domain.job_status import ShownState
from app.domain.summary_schedule import SummarySchedule
from app.store.job_states import IS_COUNTED, joined_jobs, state_at
from app.store.jobs import WITHOUT_EXPECTATION, job_matches
from app.store.repository import Page, Repository, Window, equals
from app.store.row_mapping import readable
from app.store.tables import agents, alerts, customers, jobs, runs
from app.store.tables_managed import summaries, summary_gaps, summary_schedules
from app.store.transactions import ReadTx, WriteTx

MOST_DUE = 100
SUMMARY_SCHEDULES = Repository(
    summary_schedules,
    SummarySchedule,
    noun="summary schedule",
    prefix="sch",
    edited=(
        "name",
        "customer_id",
        "enabled",
        "every",
        "hour",
        "minute",
        "weekday",
        "month_day",
        "time_zone",
        "matchers",
        "recipients",
    ),
)


async def page_summary_schedules(
    tx: ReadTx,
    window: Window,
    *,
    customer_id: str | None = None,
    name: str | None = None,
    enabled: bool | None = None,
) -> Page[SummarySchedule]:
    """Return summary schedules in the order of their ids, filtered."""
    same = equals(summary_schedules, customer_id=customer_id, name=name, enabled=enabled)
    return await SUMMARY_SCHEDULES.page(tx, same, window)


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary that was made: its number and the period that it covers."""

    id: str
    schedule: SummarySchedule
    number: int
    period_start: datetime
    period_end: datetime


async def schedules_due(tx: ReadTx, now: datetime) -> list[str]:
    """Return the ids of enabled schedules whose time has come and that can be read, at most MOST_DUE."""
    due = select(summary_schedules).where(summary_schedules.c.enabled, summary_schedules.c.next_at <= now)
    rows = await tx.connection.execute(due.order_by(summary_schedules.c.next_at))
    return [schedule.id for schedule in readable(rows, SUMMARY_SCHEDULES.mapping.read, "summary schedule")[:MOST_DUE]]


async def claim_due_schedule(tx: WriteTx, schedule_id: str, now: datetime) -> SummarySchedule | None:
    """Return a schedule, locked until the commit; None if it is no longer due, or another worker makes its summary."""
    due = summary_schedules.c.id == schedule_id, summary_schedules.c.enabled, summary_schedules.c.next_at <= now
    row = (
        await tx.connection.execute(select(summary_schedules).where(*due).with_for_update(skip_locked=True))
    ).one_or_none()
    return None if row is None else SUMMARY_SCHEDULES.mapping.read(row)


async def set_next_summary(tx: WriteTx, schedule_id: str, next_at: datetime) -> None:
    """Set when the schedule is due next."""
    await tx.connection.execute(
        update(summary_schedules).where(summary_schedules.c.id == schedule_id).values(next_at=next_at)
    )


async def last_period_end(tx: ReadTx, schedule_id: str) -> datetime | None:
    """Return the end of the newest period that a regular summary covers."""
    regular = (summaries.c.schedule_id == schedule_id) & summaries.c.on_demand.is_(False)
    moment: datetime | None = await tx.connection.scalar(select(func.max(summaries.c.period_end)).where(regular))
    return moment


async def insert_summary(
    tx: WriteTx, schedule: SummarySchedule, *, start: datetime, end: datetime, now: datetime, on_demand: bool
) -> str | None:
    """Number and store a summary; return its id, or None if this schedule already has one up to `end`."""
    summary_id = new_id("sum")
    inserted = (sqlite.insert if tx.is_sqlite else postgresql.insert)(summaries).on_conflict_do_nothing()
    made = await tx.connection.execute(
        inserted.values(
            id=summary_id,
            schedule_id=schedule.id,
            number=schedule.last_number + 1,
            period_start=start,
            period_end=end,
            on_demand=on_demand,
            made_at=now,
        )
    )
    if made.rowcount != 1:
        return None
    await tx.connection.execute(
        update(summary_schedules)
        .where(summary_schedules.c.id == schedule.id)
        .values(last_number=schedule.last_number + 1)
    )
    return summary_id


async def find_summary(tx: ReadTx, summary_id: str) -> Summary | None:
    """Return a summary with its schedule."""
    row = (await tx.connection.execute(select(summaries).where(summaries.c.id == summary_id))).one_or_none()
    if row is None:
        return None
    schedule = await SUMMARY_SCHEDULES.get(tx, row.schedule_id)
    return Summary(summary_id, schedule, row.number, row.period_start, row.period_end)


@dataclass(frozen=True, slots=True)
class SummaryGap:
    """Summaries of a schedule, from the first to the last number, that were sent and are not known here."""

    schedule: str  # its name
    first: int
    last: int
    noticed_at: datetime


async def summary_numbers(tx: ReadTx) -> dict[str, int]:
    """Return the number of the newest summary of each schedule, by its id."""
    rows = await tx.connection.execute(select(summary_schedules.c.id, summary_schedules.c.last_number))
    return {row.id: row.last_number for row in rows}


async def jump_ahead(tx: WriteTx, sent: Mapping[str, int], now: datetime) -> list[SummaryGap]:
    """Let schedules continue after the numbers that were sent already, and return the gaps; none where a schedule is that far."""
    query = select(summary_schedules.c.id, summary_schedules.c.name, summary_schedules.c.last_number)
    locked = query.where(summary_schedules.c.id.in_(sent)).order_by(summary_schedules.c.id).with_for_update()
    gaps = []
    for row in (await tx.connection.execute(locked)).all():
        last = sent[row.id]
        if row.last_number >= last:
            continue
        gap = SummaryGap(row.name, row.last_number + 1, last, now)
        values = {"id": new_id("gap"), "schedule_id": row.id, "first_number": gap.first, "last_number": last}
        await tx.connection.execute(insert(summary_gaps).values(**values, noticed_at=now))
        await tx.connection.execute(
            update(summary_schedules).where(summary_schedules.c.id == row.id).values(last_number=last)
        )
        gaps.append(gap)
        tx.after_commit(partial(_report_gap, gap))
    return gaps


def _report_gap(gap: SummaryGap) -> None:
    log.error(
        "the database was put back to an older state: it does not know the last summaries that were sent",
        schedule=gap.schedule,
        first=gap.first,
        last=gap.last,
    )


async def gap_before(tx: ReadTx, schedule_id: str, number: int) -> tuple[int, int] | None:
    """Return the first and last number that the database lacks directly before a summary, or None."""
    row = (
        await tx.connection.execute(
            select(summary_gaps.c.first_number, summary_gaps.c.last_number).where(
                summary_gaps.c.schedule_id == schedule_id, summary_gaps.c.last_number == number - 1
            )
        )
    ).first()
    return None if row is None else (row.first_number, row.last_number)


async def gaps_since(tx: ReadTx, moment: datetime) -> list[SummaryGap]:
    """Return the gaps that were noticed since a moment, oldest first."""
    query = select(summary_gaps, summary_schedules.c.name).join(
        summary_schedules, summary_schedules.c.id == summary_gaps.c.schedule_id
    )
    rows = await tx.connection.execute(query.where(summary_gaps.c.noticed_at >= moment).order_by(summary_gaps.c.id))
    return [SummaryGap(row.name, row.first_number, row.last_number, row.noticed_at) for row in rows]


_COUNTED = ("expected", "heard", "without_expectation", "unconfirmed")
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


async def read_jobs(tx: ReadTx, scope: SummaryScope, most: Mapping[str, int]) -> SummaryJobs:
    """Count the jobs of a summary, and list those of each section: a state, or `recovered`. `most` names the sections and how many each lists."""
    states: dict[str, int] = {}
    sums = dict.fromkeys(_COUNTED, 0)
    listed: dict[str, list[tuple[int, str]]] = {title: [] for title in most}
    for row in await tx.connection.execute(_jobs_query(scope, most)):
        if row.id is not None:
            listed[row.title].append((row.place, row.id))
            continue
        states[row.title] = row.jobs
        for name in _COUNTED:
            sums[name] += getattr(row, name)
    return SummaryJobs(
        states, **sums, listed={title: tuple(job_id for _, job_id in sorted(found)) for title, found in listed.items()}
    )


def _jobs_query(scope: SummaryScope, most: Mapping[str, int]) -> CompoundSelect[Any]:
    """Return the query of the counts of each state (rows without an id) and of the jobs that each section lists.

    The state of a job is worked out once for all of them, apart from the joins and orders of the lists: PostgreSQL takes so long an
    expression for so costly that it does not care how it joins, and compared each job with each agent.
    """
    # What a person dismissed did not recover.
    is_excused = and_(jobs.c.state == JobState.MISSED, jobs.c.dismissed_at.is_not(None))
    expected, reported = _expected(scope)
    counted = (
        case((expected, 1), else_=0),
        case((and_(expected, reported), 1), else_=0),
        case((WITHOUT_EXPECTATION, 1), else_=0),
        case((jobs.c.proposed_expectation.is_not(None), 1), else_=0),
    )
    judged = joined_jobs(
        jobs.c.id,
        state_at(scope.end).label("state"),
        is_excused.label("is_excused"),
        jobs.c.failing_since,
        customers.c.name.label("customer"),
        agents.c.name.label("agent"),
        jobs.c.name.label("job"),
        *(number.label(name) for name, number in zip(_COUNTED, counted, strict=True)),
    )
    standing = judged.where(scope.matches).cte("standing").prefix_with("MATERIALIZED")
    recovered = select(alerts.c.subject_id).where(
        alerts.c.closed_at >= scope.start,
        alerts.c.closed_at < scope.end,
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
        for title, number in most.items()
    ]
    return union_all(counts, *lists)


def _first_of(standing: CTE, title: str, condition: ColumnElement[bool], number: int) -> Select[Any]:
    """Return the query of the first jobs of one section, with their places."""
    order = ("failing_since", "customer", "agent", "job")
    first = select(standing.c.id, *(standing.c[name] for name in order)).where(condition)
    some = first.order_by(*(standing.c[name] for name in order)).limit(number).subquery()
    place = func.row_number().over(order_by=[some.c[name] for name in order])
    return select(literal(title), some.c.id, place, literal(0), *(literal(0) for _ in _COUNTED))


def _expected(scope: SummaryScope) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions of the jobs that were expected, and of those that reported.

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
    reported = _within_period(jobs.c.last_came_at, scope, ran)
    fell_due = or_(_within_period(jobs.c.last_due_at, scope, exists().where(ended)), jobs.c.next_due_at < scope.end)
    # Regular seems a job without expectation that reported in each of the two periods before. Once only proves nothing: a weekly job
    # would count as not heard from on the morning after. A job with an expectation is due when that says, and before that not missed.
    length = scope.end - scope.start
    before, earlier = scope.start - length, scope.start - 2 * length
    ran_earlier = exists().where(runs.c.job_id == jobs.c.id, runs.c.ended_at >= earlier, runs.c.ended_at < before)
    seems_regular = and_(WITHOUT_EXPECTATION, jobs.c.last_came_at >= before, ran_earlier)
    expected = or_(fell_due, and_(jobs.c.last_due_at.is_(None), or_(reported, seems_regular)))
    return expected, reported


def _within_period(
    newest: ColumnElement[datetime | None], scope: SummaryScope, otherwise: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Return whether a time lies in the period; where the newest is later, the runs of the period decide."""
    return or_(and_(newest >= scope.start, newest <= scope.end), and_(newest > scope.end, otherwise))
