"""Reads what a job's cadence is learned from: its newest runs and its daily counts, bounded however long its history."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Select, select

from app.domain.event import RunOutcome
from app.domain.run import Run
from app.store.tables import job_days, runs
from app.store.transactions import ReadTx
from app.store.wanted import wanted

WEEK_DAYS = 7
_READ = ("id", "customer_id", "job_id", "run_key", "heard_at", "started_at", "ended_at", "outcome", "metrics")


async def newest_runs(tx: ReadTx, job_ids: Iterable[str], most: int) -> Mapping[str, list[Run]]:
    """Give the newest ended runs of each job, `most` of them."""
    # One job after the other: for a limit on each within one query SQLite would read all the history there is.
    return {job_id: await _of_job(tx, job_id, most) for job_id in sorted(job_ids)}


async def _of_job(tx: ReadTx, job_id: str, most: int) -> list[Run]:
    rows = await tx.connection.execute(newest_first(job_id, most))
    return [
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


def newest_first(job_id: str, most: int) -> Select[Any]:
    """Give the query for a job's newest ended runs: its part of the index from the newest end, and no further."""
    ended = runs.c.job_id == job_id, runs.c.ended_at.is_not(None)
    return select(*(runs.c[name] for name in _READ)).where(*ended).order_by(runs.c.ended_at.desc()).limit(most)


async def runs_per_day(tx: ReadTx, jobs: Mapping[str, str], today: date) -> Mapping[str, Sequence[int]]:
    """Give how many runs that came each job had on each of the seven full days before `today`; `jobs`: id to customer id."""
    asked = wanted(tx, sorted((customer, job) for job, customer in jobs.items()), "customer_id", "job_id")
    same = (job_days.c.customer_id == asked.c.customer_id) & (job_days.c.job_id == asked.c.job_id)
    days = [today - timedelta(days=back) for back in range(WEEK_DAYS, 0, -1)]
    counts = {job: dict.fromkeys(days, 0) for job in jobs}
    came = job_days.c.successes + job_days.c.warnings + job_days.c.failures + job_days.c.cancelled
    query = select(job_days.c.job_id, job_days.c.day, came.label("came")).join_from(asked, job_days, same)
    for row in await tx.connection.execute(query.where(job_days.c.day >= days[0], job_days.c.day < today)):
        counts[row.job_id][row.day] = row.came
    return {job: list(by_day.values()) for job, by_day in counts.items()}
