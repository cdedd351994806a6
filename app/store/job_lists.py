"""Reads jobs with the names of their agents and customers, as lists of pages show them, and the days of one job."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select

from app.domain.job import Job
from app.domain.job_status import ShownState
from app.domain.mail_views import DayCell
from app.domain.run import Run
from app.store.jobs import JOBS
from app.store.problems import Customers, only
from app.store.repository import Page, Window
from app.store.runs import RUNS
from app.store.shown_state import state_now
from app.store.tables import agents, customers, job_days, jobs, runs
from app.store.transactions import ReadTx

_NO_DAY = dict.fromkeys([name for name in DayCell.__slots__ if name != "day"], 0)


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job with the names of its agent and customer, and its state as counts of jobs have it (store/shown_state.py)."""

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
            columns = (jobs.c.name, agents.c.name, customers.c.name)
            where.append(or_(*(column.icontains(self.words, autoescape=True) for column in columns)))
        if self.state in tuple(ShownState):
            where.append(state_now(now) == self.state)
        where += [customers.c.name == self.customer] if self.customer else []
        where += [agents.c.name == self.agent] if self.agent else []
        name, equals, value = self.label.partition("=")
        if name:
            of_job = jobs.c.labels[name].as_string()
            where.append(of_job == value if equals else of_job.is_not(None))
        where += [jobs.c.labels["tool"].as_string() == self.tool] if self.tool else []
        return where


async def search_jobs(tx: ReadTx, search: JobSearch, seen: Customers, window: Window, now: datetime) -> Page[ListedJob]:
    """Return the jobs that are asked for, in the order of their ids."""
    named = (
        agents.c.name.label("agent_name"),
        customers.c.name.label("customer_name"),
        state_now(now).label("word"),
    )
    columns: list[ColumnElement[Any]] = [*JOBS.mapping.columns, *named]
    query: Select[Any] = (
        select(*columns)
        .join(agents, agents.c.id == jobs.c.agent_id)
        .join(customers, customers.c.id == jobs.c.customer_id)
        .where(*search.conditions(now), *only(seen, jobs.c.customer_id), *JOBS.bounds(window))
        .order_by(jobs.c.id)
        .limit(window.limit + 1)
    )
    rows = (await tx.connection.execute(query)).all()
    found = [
        ListedJob(JOBS.mapping.read(row), row.agent_name, row.customer_name, row.word) for row in rows[: window.limit]
    ]
    return Page(tuple(found), found[-1].job.id if len(rows) > window.limit else None)


async def days_of_job(tx: ReadTx, customer_id: str, job_id: str, last: date, days: int) -> Sequence[DayCell]:
    """Return the last days of one job, oldest first; a day without a report has no numbers."""
    first = last - timedelta(days=days - 1)
    own = job_days.c.customer_id == customer_id, job_days.c.job_id == job_id, job_days.c.day >= first
    rows = await tx.connection.execute(select(*(job_days.c[name] for name in DayCell.__slots__)).where(*own))
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
