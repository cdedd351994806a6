"""The jobs of all customers as pages show them: lists, the calendar of runs, and counts and days of each customer.

The cost does not grow with the history.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    Select,
    String,
    and_,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    tuple_,
)

from app.core.ids import first_id_at
from app.domain.event import RunOutcome
from app.domain.job import Job
from app.domain.job_status import JobCounts, ShownState
from app.domain.mail_views import DayCell
from app.domain.run import Run
from app.domain.run_calendar import BACK, CalendarEntry
from app.store.alerts import Customers, only
from app.store.job_states import (
    FAILING_SINCE,
    TROUBLE,
    JobChoice,
    conditions_of,
    count_by_customer,
    joined_jobs,
    may_differ,
    rank_of_state,
    state_now,
)
from app.store.jobs import JOBS
from app.store.prepared import Builder, Prepared, Values
from app.store.repository import Page
from app.store.runs import RUNS
from app.store.tables import DAY_WITH_TROUBLE, agents, customers, job_days, jobs, runs
from app.store.transactions import ReadTx
from app.store.types import EPOCH, Utc, from_micros, to_micros

_PLACE = re.compile(
    r"([0-4])\.([0-9]{1,17})\.(job_[0-9a-f]{28})"
)  # of a job in trouble: how bad, since when, and its id
_WELL = (ShownState.OK, ShownState.NEW)
_NO_DAY = dict.fromkeys([name for name in DayCell._fields if name != "day"], 0)


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job with the names of its agent and customer, and its state as counts of jobs have it (store/job_states.py)."""

    job: Job
    agent: str
    customer: str
    word: str


@dataclass(frozen=True, slots=True)
class JobSearch:
    """Which jobs a list shows; an empty text asks for nothing. `label` is `name` or `name=value`."""

    words: str = ""
    state: str = ""
    customer: str = ""
    agent: str = ""
    label: str = ""
    tool: str = ""

    def conditions(self, now: datetime) -> list[ColumnElement[bool]]:
        """Return the conditions on a query of jobs joined with their agents and customers."""
        where: list[ColumnElement[bool]] = []
        if self.words:
            of_job, of_agent, of_customer = (
                table.c.name.icontains(self.words, autoescape=True) for table in (jobs, agents, customers)
            )
            # The names of agents and customers are compared once, and not again for each of their jobs.
            named = jobs.c.agent_id.in_(select(agents.c.id).where(of_agent).correlate(None))
            owned = jobs.c.customer_id.in_(select(customers.c.id).where(of_customer).correlate(None))
            where.append(or_(of_job, named, owned))
        if self.state in tuple(ShownState):
            where.append(state_now(now) == self.state)
        where += [customers.c.name == self.customer] if self.customer else []
        where += [agents.c.name == self.agent] if self.agent else []
        name, equals, value = self.label.partition("=")
        if name:
            own_label = jobs.c.labels[name].as_string()
            where.append(own_label == value if equals else own_label.is_not(None))
        where += [jobs.c.labels["tool"].as_string() == self.tool] if self.tool else []
        return where


async def search_jobs(
    tx: ReadTx, search: JobSearch, seen: Customers, limit: int, now: datetime, after: str = ""
) -> Page[ListedJob]:
    """Return the jobs that are asked for: those in trouble as `worst_jobs` has them, then the others in the order of their ids.

    `after`: the `next` of the page before. It names the place of a job in trouble, or the id of another job.
    """
    found: list[ListedJob] = []
    wanted = _listed(search, seen, now)
    place = _PLACE.fullmatch(after)
    if (place or not after) and search.state not in _WELL:
        since, rank = func.coalesce(FAILING_SINCE, literal(EPOCH, Utc)), rank_of_state(now)
        query = wanted.where(may_differ(now), state_now(now).in_(TROUBLE))
        if place:
            then, worst = literal(from_micros(int(place[2])), Utc), int(place[1])
            later = or_(since > then, and_(since == then, jobs.c.id > place[3]))
            query = query.where(or_(rank > worst, and_(rank == worst, later)))
        found = await _read_listed(tx, query.order_by(rank, since, jobs.c.id).limit(limit + 1))
    if len(found) > limit:
        last = found[limit - 1]
        since_s = to_micros(last.job.failing_since or last.job.late_failure_at or EPOCH)
        return Page(tuple(found[:limit]), f"{TROUBLE.index(ShownState(last.word))}.{since_s}.{last.job.id}")
    if search.state not in TROUBLE:
        first = "job_" if place or not after else after  # it comes before each id
        rest = wanted.where(jobs.c.id > first, state_now(now).not_in(TROUBLE)).order_by(jobs.c.id)
        found += await _read_listed(tx, rest.limit(limit + 1 - len(found)))
    if len(found) <= limit:
        return Page(tuple(found), None)
    last = found[limit - 1]
    return Page(tuple(found[:limit]), "job_" if last.word in TROUBLE else last.job.id)


def _listed(search: JobSearch, seen: Customers, now: datetime) -> Select[Any]:
    named = (
        agents.c.name.label("agent_name"),
        customers.c.name.label("customer_name"),
        state_now(now).label("word"),
    )
    columns: list[ColumnElement[Any]] = [*JOBS.mapping.columns, *named]
    return (
        select(*columns)
        .join(agents, agents.c.id == jobs.c.agent_id)
        .join(customers, customers.c.id == jobs.c.customer_id)
        .where(*search.conditions(now), *only(seen, jobs.c.customer_id))
    )


async def _read_listed(tx: ReadTx, query: Select[Any]) -> list[ListedJob]:
    rows = await tx.connection.execute(query)
    return [ListedJob(JOBS.mapping.read(row), row.agent_name, row.customer_name, row.word) for row in rows]


async def days_of_job(tx: ReadTx, customer_id: str, job_id: str, last: date, days: int) -> Sequence[DayCell]:
    """Return the last days of one job, oldest first; a day without a report has no numbers."""
    first = last - timedelta(days=days - 1)
    own = job_days.c.customer_id == customer_id, job_days.c.job_id == job_id, job_days.c.day >= first
    rows = await tx.connection.execute(select(*(job_days.c[name] for name in DayCell._fields)).where(*own))
    found = {row.day: DayCell(*row) for row in rows}
    every = (first + timedelta(days=number) for number in range(days))
    return [found.get(day) or DayCell(day=day, **_NO_DAY) for day in every]


async def latest_runs(tx: ReadTx, job_id: str, limit: int) -> list[Run]:
    """Return the runs of a job that ended last, the newest first. A run that was reported late stands where it belongs."""
    ended = runs.c.job_id == job_id, runs.c.ended_at.is_not(None)
    query = select(*RUNS.mapping.columns).where(*ended).order_by(runs.c.ended_at.desc()).limit(limit)
    rows = await tx.connection.execute(query)
    return [RUNS.mapping.read(row) for row in rows]


async def count_runs(tx: ReadTx, customer_id: str, job_id: str) -> int:
    """Return how many runs of a job its days count."""
    ended = job_days.c.successes + job_days.c.warnings + job_days.c.failures + job_days.c.cancelled + job_days.c.unclear
    own = job_days.c.customer_id == customer_id, job_days.c.job_id == job_id
    return int(await tx.connection.scalar(select(func.sum(ended)).where(*own)) or 0)


async def word_of_job(tx: ReadTx, job_id: str, now: datetime) -> str:
    """Return the state of one job."""
    return str(await tx.connection.scalar(select(state_now(now)).where(jobs.c.id == job_id)))


JOBS_MOST, MISSED_MOST = 500, 500


async def expected_jobs(tx: ReadTx, choice: JobChoice, now: datetime) -> list[Job]:
    """Return the jobs that are expected to run, those that are due first, at most JOBS_MOST."""
    query = joined_jobs(jobs).where(*conditions_of(choice, now), jobs.c.next_due_at.is_not(None))
    rows = await tx.connection.execute(query.order_by(jobs.c.next_due_at, jobs.c.id).limit(JOBS_MOST))
    return [JOBS.mapping.read(row) for row in rows]


async def missed_runs(tx: ReadTx, choice: JobChoice, now: datetime) -> list[CalendarEntry]:
    """Return the newest missed runs of the jobs, at most MISSED_MOST, by the slot at which they were expected."""
    query = (
        joined_jobs(runs.c.job_id, runs.c.started_at)
        .join(runs, runs.c.job_id == jobs.c.id)
        # The first condition selects an index; the id begins with the time of its creation.
        .where(literal_column("runs.outcome <> 'success'"), runs.c.outcome == RunOutcome.MISSED)
        .where(runs.c.id >= first_id_at("run", now - BACK), *conditions_of(choice, now))
        .order_by(runs.c.id.desc())
        .limit(MISSED_MOST)
    )
    return [CalendarEntry(row.job_id, row.started_at, is_missed=True) for row in await tx.connection.execute(query)]


async def names_of_jobs(tx: ReadTx, ids: set[str]) -> dict[str, tuple[str, str, str]]:
    """Return customer, agent and name of jobs by id."""
    found: dict[str, tuple[str, str, str]] = {}
    wanted = sorted(ids)
    for first in range(0, len(wanted), JOBS_MOST):
        query = joined_jobs(jobs.c.id, customers.c.name, agents.c.name, jobs.c.name)
        for job_id, *names in await tx.connection.execute(
            query.where(jobs.c.id.in_(wanted[first : first + JOBS_MOST]))
        ):
            found[job_id] = (names[0], names[1], names[2])
    return found


@dataclass(frozen=True, slots=True)
class CustomerCounts:
    """A customer with its counts."""

    id: str
    name: str
    time_zone: str
    counts: JobCounts


def _build_days_heard(db: Builder) -> Select[tuple[str, str]]:
    wanted = db.table("wanted", customer_id=String, day=String)
    day = wanted.c.day if db.is_sqlite else func.to_date(wanted.c.day, "YYYY-MM-DD")
    # A day on which nothing went well is no good day: it has rows for what was missed.
    of_day = select(job_days.c.job_id).where(job_days.c.successes > 0).limit(1).correlate(wanted)
    if db.is_sqlite:
        of_day = of_day.where(job_days.c.customer_id == wanted.c.customer_id, job_days.c.day == day)
    else:
        # PostgreSQL expects to find one soon, and reads the whole table where there is none, unless the order is that of an index.
        place, at = tuple_(job_days.c.day, job_days.c.customer_id), tuple_(day, wanted.c.customer_id)
        of_day = of_day.where(place >= at, place <= at).order_by(job_days.c.day, job_days.c.customer_id)
    # Not as EXISTS, of which PostgreSQL ignores the order.
    return select(wanted.c.customer_id, wanted.c.day).where(of_day.scalar_subquery().is_not(None))


def _build_days_troubled(db: Builder) -> Select[Values]:
    went_well = job_days.c.successes + job_days.c.warnings > 0
    word = case(
        (and_(job_days.c.failures > 0, ~went_well), "failed"),
        (job_days.c.failures > 0, "warning"),
        (and_(job_days.c.missed > 0, went_well), "late"),
        (job_days.c.missed > 0, "missed"),
        (job_days.c.warnings > 0, "warning"),
        (job_days.c.unclear > 0, "unclear"),
        else_="cancelled",
    ).label("word")
    shown = job_days.c.day >= bindparam("first", type_=Date), job_days.c.day <= bindparam("last", type_=Date)
    return (
        select(job_days.c.customer_id, job_days.c.day, word, func.count())
        .where(literal_column(DAY_WITH_TROUBLE), db.one_of(job_days.c.customer_id, "ids"), *shown)
        .group_by(*map(text, "123"))
    )


_DAYS_HEARD, _DAYS_TROUBLED = Prepared(_build_days_heard), Prepared(_build_days_troubled)
_NAMED = Prepared(lambda _: select(customers.c.id, customers.c.name, customers.c.time_zone))


async def count_states(tx: ReadTx, seen: Customers, now: datetime) -> list[CustomerCounts]:
    """Return these customers with the counts of their jobs, by name."""
    counted = await count_by_customer(tx, JobChoice(), now)
    found = [
        CustomerCounts(own, name, time_zone, counted.get(own, JobCounts()))
        for own, name, time_zone in await tx.fetch(_NAMED)
        if seen is None or own in seen
    ]
    return sorted(found, key=lambda it: it.name.casefold())


@dataclass(frozen=True, slots=True)
class CustomerDay:
    """One day of a customer, in its time zone: how many jobs ended the day how. `is_heard`: whether anything came at all."""

    day: date
    failed: int = 0
    missed: int = 0
    warning: int = 0
    late: int = 0
    unclear: int = 0
    cancelled: int = 0
    is_heard: bool = False

    @property
    def word(self) -> str:
        """The worst of the day, in the words of a summary's strip."""
        for word in ("failed", "missed", "warning", "late", "unclear", "cancelled"):
            if getattr(self, word):
                return word if word != "cancelled" else ("ok" if self.is_heard else "cancelled")
        return "ok" if self.is_heard else "none"


async def customer_days(
    tx: ReadTx, customer_ids: Sequence[str], last: date, days: int
) -> dict[str, tuple[CustomerDay, ...]]:
    """Return the last days of each customer, oldest first. Read are the days of jobs on which something was wrong, and for the others whether there is any."""
    every = [last - timedelta(days=back) for back in range(days - 1, -1, -1)]
    made = {(own, day): CustomerDay(day) for own in customer_ids for day in every}
    for own, day, word, number in await tx.fetch(_DAYS_TROUBLED, ids=sorted(customer_ids), first=every[0], last=last):
        made[own, day] = replace(made[own, day], **{word: number})
    for own, day in await tx.fetch(_DAYS_HEARD, wanted=[(own, day.isoformat()) for own, day in made]):
        key = own, date.fromisoformat(day)
        made[key] = replace(made[key], is_heard=True)
    return {own: tuple(made[own, day] for day in every) for own in customer_ids}
