"""Runs and daily roll-ups as folding needs them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Select, and_, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.domain.event import RunOutcome
from app.domain.run import Run
from app.store.mapping import run_from
from app.store.tables import job_days, jobs, runs
from app.store.transactions import ReadTx, WriteTx
from app.store.wanted import wanted

HISTORY = 5_000  # runs looked back at most when a late event makes a job's counters be counted anew
PAGE = 50
SUMS = ("successes", "warnings", "failures", "cancelled", "missed", "bytes_processed", "bytes_stored", "duration_s")


async def find_runs(tx: WriteTx, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Run]:
    """Give runs by (job id, run key)."""
    asked = sorted(set(keys))
    if not asked:
        return {}
    new = wanted(tx, asked, "job_id", "run_key")
    # Through the job to its customer, with which the runs' unique index begins.
    same = and_(runs.c.customer_id == jobs.c.customer_id, runs.c.job_id == jobs.c.id, runs.c.run_key == new.c.run_key)
    found = select(runs).select_from(new.join(jobs, jobs.c.id == new.c.job_id).join(runs, same))
    rows = await tx.connection.execute(found)
    return {(row.job_id, row.run_key): run_from(row) for row in rows}


async def save_runs(tx: WriteTx, changed: Sequence[Run]) -> None:
    """Insert or update runs."""
    if not changed:
        return
    insert = sqlite.insert if tx.is_sqlite else postgresql.insert
    statement = insert(runs)
    fresh = {
        name: statement.excluded[name]
        for name in Run.__slots__
        if name not in ("id", "customer_id", "job_id", "run_key")
    }
    upsert = statement.on_conflict_do_update(index_elements=["customer_id", "job_id", "run_key"], set_=fresh)
    await tx.connection.execute(upsert, [{name: getattr(run, name) for name in Run.__slots__} for run in changed])


async def supersede(tx: WriteTx, ends: Mapping[str, datetime]) -> None:
    """Mark runs that began before a later end of their job, and never ended, as superseded. `ends`: job id to newest end."""
    if ends:
        change = (
            update(runs)
            .where(
                runs.c.job_id == bindparam("of_job"),
                runs.c.ended_at.is_(None),  # says the index: else all runs that the job ever had are looked at
                runs.c.outcome.is_(None),
                runs.c.started_at <= bindparam("end"),
            )
            .values(outcome=RunOutcome.SUPERSEDED, overrun_at=None)
        )
        await tx.connection.execute(change, [{"of_job": job_id, "end": end} for job_id, end in sorted(ends.items())])


async def jobs_with_open_runs(tx: WriteTx, job_ids: Iterable[str]) -> dict[str, datetime]:
    """Give, by job, when the newest run that has not ended began."""
    rows = await tx.connection.execute(newest_open(job_ids))
    return {row.id: row.began for row in rows if row.began is not None}


def newest_open(job_ids: Iterable[str]) -> Select[Any]:
    """Ask for that by one look into the index for each job: a tool may tell starts only, for ever."""
    newest = (
        select(runs.c.started_at)
        .where(
            runs.c.job_id == jobs.c.id,
            runs.c.ended_at.is_(None),
            runs.c.outcome.is_(None),
            runs.c.started_at.is_not(None),
        )
        .order_by(runs.c.outcome.desc(), runs.c.started_at.desc())  # as the index has it, or PostgreSQL sorts them all
        .limit(1)
        .scalar_subquery()
    )
    return select(jobs.c.id, newest.label("began")).where(jobs.c.id.in_(set(job_ids)))


async def history(tx: ReadTx, job_id: str) -> list[Run]:
    """Give a job's ended runs, newest first, back to its last success: all that ended at that moment are included."""
    found: list[Run] = []
    success_at: datetime | None = None
    ended = (
        select(runs)
        .where(runs.c.job_id == job_id, runs.c.ended_at.is_not(None))
        .order_by(runs.c.ended_at.desc(), runs.c.id)
    )
    for offset in range(0, HISTORY, PAGE):
        rows = (await tx.connection.execute(ended.limit(PAGE).offset(offset))).all()
        for row in rows:
            if success_at is not None and row.ended_at < success_at:
                return found
            found.append(run_from(row))
            if row.outcome == RunOutcome.SUCCESS:
                success_at = success_at or row.ended_at
        if len(rows) < PAGE:
            return found
    return found


async def overrun_runs(tx: WriteTx, before: datetime, limit: int) -> list[tuple[Run, str, str, str]]:
    """Claim runs that take too long, each with its agent's id, job's name and activity."""
    due = (
        select(runs, jobs.c.agent_id, jobs.c.name, jobs.c.activity)
        .join(jobs, jobs.c.id == runs.c.job_id)
        .where(runs.c.overrun_at <= before)
        .order_by(runs.c.overrun_at)
        .limit(limit)
    )
    rows = await tx.connection.execute(due.with_for_update(of=runs, skip_locked=True))
    return [(run_from(row), row.agent_id, row.name, row.activity) for row in rows]


async def clear_overrun(tx: WriteTx, run_ids: Sequence[str]) -> None:
    """Note that these runs have been called too long."""
    if run_ids:
        await tx.connection.execute(update(runs).where(runs.c.id.in_(run_ids)).values(overrun_at=None))


async def add_to_days(tx: WriteTx, sums: Mapping[tuple[str, str, date], Mapping[str, float]]) -> None:
    """Add to daily roll-ups; `sums` by (customer, job, day). Amounts may be negative: a run that is judged anew is taken out first."""
    if not sums:
        return
    insert = sqlite.insert if tx.is_sqlite else postgresql.insert
    statement = insert(job_days)
    added = {name: job_days.c[name] + statement.excluded[name] for name in SUMS}
    upsert = statement.on_conflict_do_update(index_elements=["customer_id", "job_id", "day"], set_=added)
    rows: list[dict[str, Any]] = [
        {"customer_id": customer, "job_id": job, "day": day, **{name: amounts.get(name, 0) for name in SUMS}}
        for (customer, job, day), amounts in sorted(sums.items())
    ]
    await tx.connection.execute(upsert, rows)
