"""Jobs in the database: as administrators see and edit them, as folding locks and saves them, and as summaries select them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    delete,
    func,
    literal,
    not_,
    select,
    text,
    true,
)

from app.core.ids import new_id
from app.domain.event import Activity
from app.domain.job import Job, JobState
from app.domain.matcher import Comparison, Matcher
from app.store.prepared import Builder, Prepared, Values
from app.store.repository import Page, Repository, Window, equals
from app.store.row_mapping import readable
from app.store.tables import agents, customers, job_days, jobs, runs
from app.store.transactions import ReadTx, WriteTx
from app.store.types import Utc
from app.store.unreadable import put_off, split_readable
from app.store.waiting import all_decided_until

JOBS = Repository(jobs, Job, noun="job", prefix="job", edited=("agent_id", "name", "activity", "expectation"))

# Without an expectation that was set, announced or learned, and not dismissed either: if it never ran again, nobody would be alerted.
WITHOUT_EXPECTATION = and_(
    *(jobs.c[name].is_(None) for name in ("expectation", "proposed_expectation", "told_expectation", "dismissed_at"))
)


# The columns that folding saves; what administrators edit (the expectation) is not among them. A success of a job that is well changes
# none but the first: to save only these takes half the time, and SQLite writes each index again that has a column which is saved.
_SAVED_OFTEN = (
    "learn_at",
    "last_finished_at",
    "last_success_at",
    "last_came_at",
    "last_message",
    "last_run_id",
    "last_due_at",
    "next_due_at",
    "overdue_at",
)
_SAVED_SELDOM = (
    "labels",
    "proposed_expectation",
    "told_expectation",
    "told_at",
    "learned_at",
    "state",
    "failures_in_row",
    "warnings_in_row",
    "missed_in_row",
    "failing_since",
    "running_since",
    "overrun_since",
    "unclear_at",
    "late_failure_at",
    "last_outcome",
)
_seldom = attrgetter(*_SAVED_SELDOM)


class JobName(NamedTuple):
    """What identifies a job."""

    customer_id: str
    agent_id: str
    name: str
    activity: str


@dataclass(frozen=True, slots=True)
class JobFilters:
    """Which jobs a list shows. Each field that is not None must be met."""

    customer_id: str | None = None
    agent_id: str | None = None
    name: str | None = None
    activity: Activity | None = None
    state: JobState | None = None
    has_expectation: bool | None = None
    has_proposal: bool | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the filters as conditions of a query."""
        same = equals(
            jobs,
            customer_id=self.customer_id,
            agent_id=self.agent_id,
            name=self.name,
            activity=self.activity,
            state=self.state,
        )
        for column, wanted in (
            (jobs.c.expectation, self.has_expectation),
            (jobs.c.proposed_expectation, self.has_proposal),
        ):
            if wanted is not None:
                same.append(column.is_not(None) if wanted else column.is_(None))
        return same


def _build_lock_by_name(db: Builder) -> Select[Values]:
    wanted = db.table("names", **dict.fromkeys(JobName._fields, String))
    same = and_(*(jobs.c[name] == wanted.c[name] for name in JobName._fields))
    found = select(*JOBS.mapping.columns).join_from(wanted, jobs, same)
    return found.order_by(jobs.c.id).with_for_update(of=jobs)


LOCK_BY_NAME = Prepared(_build_lock_by_name)
_OF_NEW_JOB = {"labels": {}, "state": JobState.NEW, "failures_in_row": 0, "warnings_in_row": 0, "missed_in_row": 0}
_INSERT = Prepared(
    lambda db: db.insert_each(jobs, ("id", *JobName._fields, "created_at"), **_OF_NEW_JOB).on_conflict_do_nothing()
)
_INSERT_AND_READ = Prepared(
    lambda db: (
        db.insert_each(jobs, ("id", *JobName._fields, "created_at"), **_OF_NEW_JOB)
        .on_conflict_do_nothing()
        .returning(*JOBS.mapping.columns)
    ),
    only_on="postgresql",
)
_SAVE_SOME = Prepared(lambda db: db.update_each(jobs, "id", _SAVED_OFTEN))
_SAVE_ALL = Prepared(lambda db: db.update_each(jobs, "id", _SAVED_OFTEN + _SAVED_SELDOM))


async def page_jobs(tx: ReadTx, filters: JobFilters, window: Window) -> Page[Job]:
    """Return the jobs that meet the filters, in the order of their ids."""
    return await JOBS.page(tx, filters.conditions(), window)


async def find_job(tx: ReadTx, filters: JobFilters) -> Job | None:
    """Return the oldest job that meets the filters, or None."""
    return next(iter((await page_jobs(tx, filters, Window(1))).items), None)


async def lock_proposed(tx: WriteTx, filters: JobFilters, limit: int) -> list[str]:
    """Return the ids of jobs whose proposed expectation waits to be confirmed, locked, oldest first."""
    # As text: SQLite uses the partial index only where its condition appears literally in the query.
    waiting = select(jobs.c.id).where(text("proposed_expectation IS NOT NULL"), *filters.conditions())
    return list(await tx.connection.scalars(waiting.order_by(jobs.c.id).limit(limit).with_for_update()))


async def delete_history_of(tx: WriteTx, job_id: str, limit: int) -> bool:
    """Delete up to `limit` runs of a job that is about to be deleted, and its daily sums with the last; return whether there are more runs.

    Its events stay until their retention ends.
    """
    some = select(runs.c.id).where(runs.c.job_id == job_id).limit(limit)
    if (await tx.connection.execute(delete(runs).where(runs.c.id.in_(some)))).rowcount == limit:
        return True
    await tx.connection.execute(delete(job_days).where(job_days.c.job_id == job_id))
    return False


async def make_jobs(tx: WriteTx, names: Collection[JobName], now: datetime) -> dict[JobName, Job]:
    """Create jobs that were not found, and return them by name, locked; also those that another worker has created meanwhile."""
    if not names:
        return {}
    rows = [{"id": new_id("job"), **name._asdict(), "created_at": now} for name in sorted(names)]
    if tx.is_sqlite:  # it takes no turn of its own there
        await tx.change_each(_INSERT, rows)
        return await lock_jobs(tx, names)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    found = jobs_by_name(await tx.fetch_columns(_INSERT_AND_READ, columns))
    return found | await lock_jobs(tx, [name for name in names if name not in found])


async def lock_jobs(tx: WriteTx, names: Collection[JobName]) -> dict[JobName, Job]:
    """Return those of these jobs that exist by name, locked in id order, so that two workers cannot deadlock."""
    return jobs_by_name(await tx.fetch(LOCK_BY_NAME, names=sorted(names))) if names else {}


def jobs_by_name(rows: Iterable[Values]) -> dict[JobName, Job]:
    """Return the jobs that rows of all their columns hold, by name."""
    found = [JOBS.mapping.read_values(values) for values in rows]
    return {JobName(job.customer_id, job.agent_id, job.name, job.activity.value): job for job in found}


async def save_jobs(tx: WriteTx, changed: Sequence[Job]) -> None:
    """Save the state of jobs; what administrators edit (the expectation) stays as it is."""
    await _save(tx, _SAVE_ALL, changed, _SAVED_OFTEN + _SAVED_SELDOM)


async def save_changes(tx: WriteTx, changed: Iterable[tuple[Job, Job]]) -> None:
    """Save what changed of jobs, each given as it was stored and as it is now."""
    some, whole = list[Job](), list[Job]()
    for before, after in changed:
        (some if _seldom(before) == _seldom(after) else whole).append(after)
    await _save(tx, _SAVE_SOME, some, _SAVED_OFTEN)
    await save_jobs(tx, whole)


async def _save(tx: WriteTx, statement: Prepared, changed: Sequence[Job], columns: Sequence[str]) -> None:
    values = JOBS.mapping.write_columns(changed, columns)
    await tx.change_columns(statement, {"of_id": [job.id for job in changed], **values})


def _build_overdue(_: Builder) -> Select[Values]:
    is_known = all_decided_until(jobs.c.customer_id, jobs.c.agent_id, jobs.c.overdue_at)
    due = select(*JOBS.mapping.columns).where(jobs.c.overdue_at <= bindparam("before", type_=Utc), is_known)
    return due.order_by(jobs.c.overdue_at).limit(bindparam("limit", type_=Integer)).with_for_update(skip_locked=True)


_OVERDUE = Prepared(_build_overdue)


async def overdue_jobs(tx: WriteTx, before: datetime, limit: int) -> list[Job]:
    """Claim jobs whose slot and grace have passed without a report; their agents' reports from before that moment are all decided on."""
    rows = await tx.fetch(_OVERDUE, before=before, limit=limit)
    found, unreadable = split_readable(rows, JOBS.mapping.read_values, "job")
    await put_off(tx, jobs.c.overdue_at, unreadable, before)
    return found


async def jobs_of_agents(tx: ReadTx, agent_ids: Collection[str]) -> dict[str, list[Job]]:
    """Return all jobs of these agents, by agent."""
    found: dict[str, list[Job]] = {}
    rows = await tx.connection.execute(select(jobs).where(jobs.c.agent_id.in_(agent_ids))) if agent_ids else ()
    for job in readable(rows, JOBS.mapping.read, "job"):
        found.setdefault(job.agent_id, []).append(job)
    return found


async def jobs_to_learn(tx: ReadTx, before: datetime, limit: int) -> tuple[list[Job], list[str]]:
    """Return jobs whose cadence is to be learned from their runs now, and the ids of those that cannot be read."""
    due = select(jobs).where(jobs.c.learn_at <= before).order_by(jobs.c.learn_at).limit(limit)
    return split_readable(await tx.connection.execute(due), JOBS.mapping.read, "job")


async def learn_later(tx: WriteTx, ids: Sequence[str], now: datetime) -> None:
    """Learn the cadence of jobs that cannot be read later (`store/unreadable.py`)."""
    await put_off(tx, jobs.c.learn_at, ids, now)


async def lock_jobs_by_id(tx: WriteTx, ids: Iterable[str], *, waits: bool = True) -> list[Job]:
    """Return jobs by id, locked in id order, so that two workers cannot deadlock. `waits` False: without those that others have locked.

    A transaction that decides locks jobs piece by piece, in no order: who locks many jobs must not wait for it.
    """
    found = select(jobs).where(jobs.c.id.in_(set(ids))).order_by(jobs.c.id).with_for_update(skip_locked=not waits)
    return readable(await tx.connection.execute(found), JOBS.mapping.read, "job")


async def jobs_by_id(tx: ReadTx, ids: Iterable[str]) -> dict[str, Job]:
    """Return jobs by id, without those that cannot be read."""
    rows = await tx.connection.execute(select(jobs).where(jobs.c.id.in_(set(ids))))
    return {job.id: job for job in readable(rows, JOBS.mapping.read, "job")}


async def count_matching_jobs(tx: ReadTx, customer_id: str | None, matchers: Sequence[Matcher]) -> int:
    """Return how many jobs meet all matchers; `customer_id` None: of every customer."""
    named = jobs.join(agents, agents.c.id == jobs.c.agent_id).join(customers, customers.c.id == jobs.c.customer_id)
    source = named if matchers else jobs
    found = select(func.count()).select_from(source).where(job_matches(customer_id, matchers))
    return int(await tx.connection.scalar(found) or 0)


def job_matches(customer_id: str | None, matchers: Sequence[Matcher]) -> ColumnElement[bool]:
    """Return matchers as a condition on jobs joined with their agents and customers, for summaries of a hundred thousand jobs.

    It must mean the same as domain/matcher.py.
    """
    conditions: list[ColumnElement[bool]] = [_condition(matcher) for matcher in matchers]
    if customer_id is not None:
        conditions.append(jobs.c.customer_id == customer_id)
    return and_(true(), *conditions)


def _condition(matcher: Matcher) -> ColumnElement[bool]:
    columns: dict[str, ColumnElement[str]] = {
        "customer": customers.c.name,
        "agent": agents.c.name,
        "job": jobs.c.name,
        "activity": jobs.c.activity,
        "message": func.coalesce(jobs.c.last_message, ""),
    }
    column: ColumnElement[str] = columns.get(
        matcher.field, literal("")
    )  # kind and severity are fields of alerts, not of jobs
    if matcher.field.startswith("label:"):
        column = label_of(matcher.field.removeprefix("label:"))
    wanted = matcher.value.lower()
    found = _lower(column, wanted)
    match matcher.test:
        case Comparison.IS:
            return found == wanted
        case Comparison.IS_NOT:
            return found != wanted
        case Comparison.LIKE:
            return found.like(_pattern(wanted), escape="\\")
        case Comparison.NOT_LIKE:
            return not_(found.like(_pattern(wanted), escape="\\"))


class JobNames(NamedTuple):
    """By which names a job is known."""

    customer_id: str
    customer: str
    agent: str
    name: str
    activity: str


async def names_of_jobs(tx: ReadTx) -> list[JobNames]:
    """Return the names of all jobs, the oldest first."""
    query = (
        select(jobs.c.customer_id, customers.c.name, agents.c.name, jobs.c.name, jobs.c.activity)
        .join_from(jobs, agents, agents.c.id == jobs.c.agent_id)
        .join(customers, customers.c.id == jobs.c.customer_id)
    )
    return [JobNames(*row) for row in await tx.connection.execute(query.order_by(jobs.c.id))]


def label_of(name: str) -> ColumnElement[str]:
    """Return the value of a job's label, or of its agent's; empty if neither has it."""
    return func.coalesce(jobs.c.labels[name].as_string(), agents.c.labels[name].as_string(), "")


def _lower(found: ColumnElement[str], wanted: str) -> ColumnElement[str]:
    """Return `found` in lower case, as far as that matters for a comparison with `wanted`.

    SQLite's lower() knows ASCII only, and so does PostgreSQL's in a database of the locale C. Other letters are replaced one by one.
    """
    small: ColumnElement[str] = func.lower(found)
    for letter in sorted({letter for letter in wanted if not letter.isascii() and letter.upper() != letter}):
        small = func.replace(small, letter.upper(), letter)
    return small


def _pattern(glob: str) -> str:
    escaped = glob.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")
