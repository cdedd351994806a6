"""Runs and daily roll-ups: listed, read and saved for folding, read for learning a cadence, and changed by an edit of their job."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    Integer,
    Select,
    String,
    bindparam,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.sql.base import Executable

from app.domain.event import Activity, RunOutcome
from app.domain.job import Job
from app.domain.pairing import LONGEST_PAIRED
from app.domain.run import NAMED, Run
from app.store.customers import Scope, job_ids, jobs_of
from app.store.prepared import Builder, Prepared, Values
from app.store.repository import MAX_RANGES, IndexRanges, Page, Repository, Window, page_newest, page_recent, tested
from app.store.tables import job_days, jobs, runs
from app.store.transactions import ReadTx, WriteTx
from app.store.types import Utc
from app.store.unreadable import put_off, split_readable
from app.store.waiting import all_decided_until

WEEK_DAYS = 7
MOST_SUPERSEDED = 1_000  # runs in one statement, in about 10 ms
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
SUMS = (
    "successes",
    "warnings",
    "failures",
    "cancelled",
    "unclear",
    "missed",
    "bytes_processed",
    "bytes_stored",
    "duration_s",
)
_CADENCE_COLUMNS = (
    "id",
    "customer_id",
    "job_id",
    "run_key",
    "heard_at",
    "started_at",
    "ended_at",
    "outcome",
    "metrics",
)


RUNS = Repository(runs, Run, noun="run", prefix="run", newest_first=True)
_STORED = tuple(field.name for field in fields(Run))
# The condition of a partial index, spelled out: SQLite uses it only where it stands in the query.
_IS_TROUBLE = runs.c.outcome != literal_column("'success'")
_OUTCOMES = (*(outcome.value for outcome in RunOutcome), None)


@dataclass(frozen=True, slots=True)
class OverrunRun:
    """A run that takes too long, with its job. `job_succeeded_at`: when a run of the job last ended well."""

    run: Run
    agent_id: str
    job: str
    activity: Activity
    job_succeeded_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunFilters:
    """Which runs a list shows. Each field that is not None must be met."""

    scope: Scope
    outcome: RunOutcome | None = None
    is_running: bool = False  # only those without an outcome


def _build_save(db: Builder) -> Executable:
    insert = db.insert_each(runs, _STORED)
    key = ["customer_id", "job_id", "run_key"]
    fresh = {name: insert.excluded[name] for name in _STORED if name not in ("id", *key)}
    return insert.on_conflict_do_update(index_elements=key, set_=fresh)


def _build_add_to_day(db: Builder) -> Executable:
    key = ["customer_id", "job_id", "day"]
    insert = db.insert_each(job_days, (*key, *SUMS))
    added = {name: job_days.c[name] + insert.excluded[name] for name in SUMS}
    return insert.on_conflict_do_update(index_elements=key, set_=added)


def _build_many_open(db: Builder) -> Select[tuple[str, datetime | None]]:
    is_open = runs.c.job_id == jobs.c.id, runs.c.ended_at.is_(None), runs.c.outcome.is_(None)
    one_more = select(runs.c.started_at).where(*is_open).order_by(runs.c.outcome, runs.c.started_at)
    one_more = one_more.limit(1).offset(MOST_SUPERSEDED)
    return select(jobs.c.id, one_more.scalar_subquery().label("began")).where(db.one_of(jobs.c.id, "ids"))


_IS_NAMED = runs.c.run_key.startswith(NAMED)
_WITHIN = (
    runs.c.job_id == bindparam("of_job"),
    runs.c.ended_at.is_(None),  # selects the index: without it, all runs that the job ever had are read
    runs.c.started_at > bindparam("since", type_=runs.c.started_at.type),
    runs.c.started_at <= bindparam("end", type_=runs.c.started_at.type),
)


def _build_supersede(is_of_outcome: ColumnElement[bool], _: Builder) -> Executable:
    change = update(runs).where(*_WITHIN, is_of_outcome, not_(_IS_NAMED))
    return change.values(outcome=RunOutcome.SUPERSEDED, overrun_at=None)


_SAVE = Prepared(_build_save)
_ADD_TO_DAY = Prepared(_build_add_to_day)
_MANY_OPEN = Prepared(_build_many_open)
# Two statements, so that each can use the index.
_SUPERSEDE_OPEN = Prepared(partial(_build_supersede, runs.c.outcome.is_(None)))
_SUPERSEDE_OVERRUN = Prepared(partial(_build_supersede, runs.c.outcome == RunOutcome.OVERRUN))
_OVERTAKEN = Prepared(
    lambda _: select(runs.c.id, runs.c.started_at).where(
        *_WITHIN, runs.c.outcome.is_(None), _IS_NAMED, runs.c.overrun_at.is_(None)
    )
)
_SET_OVERRUN = Prepared(
    lambda _: update(runs).where(runs.c.id == bindparam("of_run")).values(overrun_at=bindparam("at"))
)


async def page_runs(tx: ReadTx, filters: RunFilters, window: Window) -> Page[Run]:
    """Return the newest runs that meet the filters, each of which is looked up in an index."""
    scope = filters.scope
    outcomes: tuple[str | None, ...] = _OUTCOMES
    if filters.is_running:
        outcomes = (None,)
    elif filters.outcome is not None:
        outcomes = (filters.outcome.value,)
    is_of_any_job = scope == Scope()
    if is_of_any_job and outcomes == _OUTCOMES:
        return await page_newest(tx, RUNS, IndexRanges(runs), [], window)
    where = tested(runs, customer_id=scope.customer_id, outcome=filters.outcome)
    if filters.is_running:
        where.append(runs.c.outcome.is_(None))
    if scope.names_agent_or_job:
        where.append(func.coalesce(runs.c.job_id, "").in_(jobs_of(scope)))
    if scope.job_id is None:
        recent = await page_recent(tx, RUNS, where, window)
        if recent is not None:
            return recent
    if is_of_any_job and filters.outcome not in (None, RunOutcome.SUCCESS):
        return await page_newest(tx, RUNS, IndexRanges(runs).by(runs.c.outcome, outcomes), [_IS_TROUBLE], window)
    by_job = IndexRanges(runs).by(runs.c.job_id, await job_ids(tx, scope)).by(runs.c.outcome, outcomes)
    if len(by_job.values) <= MAX_RANGES:
        return await page_newest(tx, RUNS, by_job, tested(runs, customer_id=scope.customer_id), window)
    return await page_newest(tx, RUNS, IndexRanges(runs), where, window)


async def save_runs(tx: WriteTx, changed: Sequence[Run]) -> None:
    """Insert or update runs."""
    await tx.change_columns(_SAVE, RUNS.mapping.write_columns(changed, _STORED))


async def supersede(tx: WriteTx, spans: Mapping[str, tuple[datetime | None, datetime]]) -> None:
    """Settle the open runs that a later end of their job has overtaken. `spans`: job id to its previous and its newest end.

    A run without a name becomes superseded, because that end may be its own. A named one stays open, and takes too long after
    three days where nothing else says so. Only runs that began within the span are read: earlier ones were settled by the
    previous end, and an agent may report starts only, for years.
    """
    if not spans:
        return
    rows = [{"of_job": job, "since": since or _LONG_AGO, "end": end} for job, (since, end) in sorted(spans.items())]
    await tx.change_each(_SUPERSEDE_OPEN, rows)
    await tx.change_each(_SUPERSEDE_OVERRUN, rows)
    overtaken = [row for span in rows for row in await tx.fetch(_OVERTAKEN, **span)]
    await _set_overrun(tx, {run_id: started_at + LONGEST_PAIRED for run_id, started_at in overtaken})


async def jobs_with_many_open_runs(tx: WriteTx, job_ids: Collection[str]) -> set[str]:
    """Return those of these jobs that have more open runs than one statement is to settle."""
    if not job_ids:
        return set()
    return {job_id for job_id, began in await tx.fetch(_MANY_OPEN, ids=sorted(job_ids)) if began is not None}


async def supersede_some(tx: WriteTx, job_id: str, end: datetime) -> bool:
    """Settle the oldest runs of a job without a name that an end overtakes, as `supersede` does. Return whether there may be more."""
    is_open = runs.c.job_id == job_id, runs.c.ended_at.is_(None), runs.c.outcome.is_(None)
    overtaken = (
        select(runs.c.id)
        .where(*is_open, runs.c.started_at <= end, not_(runs.c.run_key.startswith(NAMED)))
        .order_by(runs.c.outcome, runs.c.started_at)
        .limit(MOST_SUPERSEDED)
    )
    change = update(runs).where(runs.c.id.in_(overtaken)).values(outcome=RunOutcome.SUPERSEDED, overrun_at=None)
    return (await tx.connection.execute(change)).rowcount == MOST_SUPERSEDED


async def jobs_with_open_runs(tx: WriteTx, job_ids: Collection[str]) -> dict[str, datetime]:
    """Return, by job, when the newest run that has not ended began, whether or not it takes too long."""
    found: dict[str, datetime] = {}
    for statement in (NEWEST_OPEN, NEWEST_OVERRUN):
        for job_id, began in await tx.fetch(statement, ids=sorted(job_ids)):
            if began is not None:
                found[job_id] = max(began, found.get(job_id, began))
    return found


async def jobs_with_overruns(tx: WriteTx, job_ids: Collection[str]) -> dict[str, datetime]:
    """Return, by job, when the newest run began that was found to take too long and has not ended."""
    rows = await tx.fetch(NEWEST_OVERRUN, ids=sorted(job_ids)) if job_ids else ()
    return {job_id: began for job_id, began in rows if began is not None}


async def give_up_overruns(tx: WriteTx, job_id: str) -> None:
    """Expect no end any more of the runs of a job that take too long."""
    hanging = runs.c.job_id == job_id, runs.c.ended_at.is_(None), runs.c.outcome == RunOutcome.OVERRUN
    await tx.connection.execute(update(runs).where(*hanging).values(outcome=RunOutcome.SUPERSEDED, overrun_at=None))


def _build_newest_open(outcome: RunOutcome | None, db: Builder) -> Select[tuple[str, datetime | None]]:
    """Find when the newest run of each job began that has not ended and has this outcome: None or `overrun`.

    It reads one index entry a job: a tool may report starts only, for years, and reading them all would slow down each batch.
    """
    newest = (
        select(runs.c.started_at)
        .where(
            runs.c.job_id == jobs.c.id,
            runs.c.ended_at.is_(None),
            runs.c.outcome.is_(None) if outcome is None else runs.c.outcome == outcome,
            runs.c.started_at.is_not(None),
        )
        .order_by(
            runs.c.outcome.desc(), runs.c.started_at.desc()
        )  # the order of the index, or PostgreSQL sorts them all
        .limit(1)
        .scalar_subquery()
    )
    return select(jobs.c.id, newest.label("began")).where(db.one_of(jobs.c.id, "ids"))


NEWEST_OPEN = Prepared(partial(_build_newest_open, None))
NEWEST_OVERRUN = Prepared(partial(_build_newest_open, RunOutcome.OVERRUN))


def _build_overrun(_: Builder) -> Select[Values]:
    is_known = all_decided_until(jobs.c.customer_id, jobs.c.agent_id, runs.c.overrun_at)
    due = (
        select(*RUNS.mapping.columns, jobs.c.agent_id, jobs.c.name, jobs.c.activity, jobs.c.last_success_at)
        .join(jobs, jobs.c.id == runs.c.job_id)
        .where(runs.c.overrun_at <= bindparam("before", type_=Utc), is_known)
        .order_by(runs.c.overrun_at)
        .limit(bindparam("limit", type_=Integer))
    )
    return due.with_for_update(of=runs, skip_locked=True)


_OVERRUN = Prepared(_build_overrun)
_ANY_DUE = Prepared(
    lambda _: select(
        select(jobs.c.id).where(jobs.c.overdue_at <= bindparam("before", type_=Utc)).exists(),
        select(runs.c.id).where(runs.c.overrun_at <= bindparam("before", type_=Utc)).exists(),
    )
)


async def is_any_due(tx: ReadTx, before: datetime) -> tuple[bool, bool]:
    """Return whether any job is overdue, and whether any run takes too long. Most times nothing is, and nobody has to be kept from writing."""
    [(is_overdue, is_too_long)] = await tx.fetch(_ANY_DUE, before=before)
    return bool(is_overdue), bool(is_too_long)


async def overrun_runs(tx: WriteTx, before: datetime, limit: int) -> list[OverrunRun]:
    """Claim runs that take too long; their agents' reports from before that moment are all decided on."""
    rows = await tx.fetch(_OVERRUN, before=before, limit=limit)
    found, unreadable = split_readable(rows, _read_overrun, "run")
    await put_off(tx, runs.c.overrun_at, unreadable, before)
    return found


def _read_overrun(row: Values) -> OverrunRun:
    *run, agent_id, job, activity, well_at = row
    return OverrunRun(RUNS.mapping.read_values(run), agent_id, job, Activity(activity), well_at)


async def mark_overrun(tx: WriteTx, run_ids: Sequence[str]) -> None:
    """Note that the overrun events of these runs were written."""
    if run_ids:
        change = update(runs).where(runs.c.id.in_(run_ids)).values(outcome=RunOutcome.OVERRUN, overrun_at=None)
        await tx.connection.execute(change)


async def reopen_given_up(tx: WriteTx, job: Job, since: datetime) -> None:
    """Let runs be under way again that began after `since`, and whose end was given up when a person closed their alert."""
    began = runs.c.started_at
    # A run without a name that a later end has overtaken stays superseded: that end may be its own.
    may_run = (
        true() if job.last_finished_at is None else or_(runs.c.run_key.startswith(NAMED), began > job.last_finished_at)
    )
    given_up = runs.c.job_id == job.id, runs.c.ended_at.is_(None), runs.c.outcome == RunOutcome.SUPERSEDED
    await tx.connection.execute(update(runs).where(*given_up, began > since, may_run).values(outcome=None))


async def set_longest(tx: WriteTx, job_id: str, longest: timedelta | None) -> None:
    """Set from when the open runs of a job take too long; None: never."""
    may_end = or_(runs.c.outcome.is_(None), runs.c.outcome == RunOutcome.OVERRUN)
    is_open = runs.c.job_id == job_id, runs.c.ended_at.is_(None), may_end
    if longest is None:
        await tx.connection.execute(update(runs).where(*is_open).values(overrun_at=None))
        return
    began = await tx.connection.execute(
        select(runs.c.id, runs.c.started_at).where(*is_open, runs.c.started_at.is_not(None))
    )
    await _set_overrun(tx, {row.id: row.started_at + longest for row in began})


async def _set_overrun(tx: WriteTx, limits: Mapping[str, datetime]) -> None:
    await tx.change_each(_SET_OVERRUN, [{"of_run": run, "at": limit} for run, limit in limits.items()])


async def newest_runs(tx: ReadTx, job_ids: Iterable[str], limit: int) -> Mapping[str, list[Run]]:
    """Return the newest ended runs of each job, at most `limit` of each, with what learning a cadence needs of them."""
    found: dict[str, list[Run]] = {}
    # One query a job: for a limit on each job within one query, SQLite would read the whole history.
    for job_id in sorted(job_ids):
        rows = await tx.connection.execute(newest_first(job_id, limit))
        found[job_id] = [
            Run(
                id=row.id,
                customer_id=row.customer_id,
                job_id=row.job_id,
                run_key=row.run_key,
                heard_at=row.heard_at,
                started_at=row.started_at,
                ended_at=row.ended_at,
                outcome=RunOutcome(row.outcome),
                metrics=row.metrics or {},
            )
            for row in rows
        ]
    return found


async def last_good_runs(tx: ReadTx, job_ids: Collection[str]) -> Mapping[str, str]:
    """Return the id of the newest run of each job that ended well, by the job's id."""
    if not job_ids:
        return {}
    good = runs.c.job_id == jobs.c.id, runs.c.outcome == RunOutcome.SUCCESS.value, runs.c.ended_at.is_not(None)
    newest = select(runs.c.id).where(*good).order_by(runs.c.ended_at.desc(), runs.c.run_key.desc()).limit(1)
    query = select(jobs.c.id, newest.correlate(jobs).scalar_subquery()).where(jobs.c.id.in_(sorted(job_ids)))
    return {job_id: run_id for job_id, run_id in await tx.connection.execute(query) if run_id is not None}


def newest_first(job_id: str, limit: int) -> Select[Any]:
    """Return the query for a job's newest ended runs, which reads the index from the newest end and no further than it must."""
    ended = runs.c.job_id == job_id, runs.c.ended_at.is_not(None)
    columns = (runs.c[name] for name in _CADENCE_COLUMNS)
    return select(*columns).where(*ended).order_by(runs.c.ended_at.desc()).limit(limit)


async def runs_per_day(tx: ReadTx, job_customers: Mapping[str, str], today: date) -> Mapping[str, Sequence[int]]:
    """Return how many runs of each job ended on each of the seven full days before `today`; `job_customers`: job id to customer id."""
    days = [today - timedelta(days=back) for back in range(WEEK_DAYS, 0, -1)]
    counts = {job: dict.fromkeys(days, 0) for job in job_customers}
    jobs = sorted((customer, job) for job, customer in job_customers.items())
    for job_id, day, ended in await tx.fetch(_ENDED_BY_DAY, jobs=jobs, first_day=days[0], today=today):
        counts[job_id][day] = ended
    return {job: list(by_day.values()) for job, by_day in counts.items()}


def _build_ended_by_day(builder: Builder) -> Executable:
    keys = builder.table("jobs", customer_id=String, job_id=String)
    same = (job_days.c.customer_id == keys.c.customer_id) & (job_days.c.job_id == keys.c.job_id)
    ended = job_days.c.successes + job_days.c.warnings + job_days.c.failures + job_days.c.cancelled
    in_time = job_days.c.day >= bindparam("first_day", type_=Date), job_days.c.day < bindparam("today", type_=Date)
    return select(job_days.c.job_id, job_days.c.day, ended).join_from(keys, job_days, same).where(*in_time)


_ENDED_BY_DAY = Prepared(_build_ended_by_day)


async def add_to_days(tx: WriteTx, sums: Mapping[tuple[str, str, date], Mapping[str, float]]) -> None:
    """Add to daily roll-ups; `sums` by (customer, job, day).

    Amounts may be negative: what a changed run counted before is taken out first.
    """
    keys = sorted(sums)
    names = ("customer_id", "job_id", "day")
    columns: dict[str, list[Any]] = {name: [key[place] for key in keys] for place, name in enumerate(names)}
    for name in SUMS:
        columns[name] = [sums[key].get(name, 0) for key in keys]
    await tx.change_columns(_ADD_TO_DAY, columns)
