"""Reads what a job's cadence is learned from: its newest runs and its daily counts, bounded however long its history."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta

from sqlalchemy import func, literal, select

from app.domain.event import RunOutcome
from app.domain.run import Run
from app.store.tables import job_days, runs
from app.store.types import EPOCH
from app.store.unit import View
from app.store.wanted import wanted

WEEK_DAYS = 7


async def newest_runs(view: View, job_ids: Collection[str], most: int) -> Mapping[str, list[Run]]:
    """Give the newest ended runs of each job, about `most` of them."""
    asked = wanted(view, [(job_id,) for job_id in sorted(job_ids)], "job_id")
    is_oldest = runs.alias("is_oldest")
    # A scalar of the wanted row alone: each job's part of the index is read from its newest end, and no further.
    since = (
        select(is_oldest.c.ended_at)
        .where(is_oldest.c.job_id == asked.c.job_id, is_oldest.c.ended_at.is_not(None))
        .order_by(is_oldest.c.ended_at.desc())
        .limit(1)
        .offset(most - 1)
        .scalar_subquery()
    )
    columns = (runs.c[name] for name in ("id", "customer_id", "job_id", "run_key", "heard_at"))
    more = (runs.c[name] for name in ("started_at", "ended_at", "outcome", "metrics"))
    newest = (
        runs.c.job_id == asked.c.job_id,
        runs.c.ended_at >= func.coalesce(since, literal(EPOCH, runs.c.ended_at.type)),
    )
    found: dict[str, list[Run]] = {}
    for row in await view.connection.execute(
        select(*columns, *more).join_from(asked, runs, newest[0]).where(newest[1])
    ):
        run = Run(
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
        found.setdefault(run.job_id, []).append(run)
    return found


async def runs_per_day(view: View, jobs: Mapping[str, str], today: date) -> Mapping[str, Sequence[int]]:
    """Give how many runs that came each job had on each of the seven full days before `today`; `jobs`: id to customer id."""
    asked = wanted(view, sorted((customer, job) for job, customer in jobs.items()), "customer_id", "job_id")
    same = (job_days.c.customer_id == asked.c.customer_id) & (job_days.c.job_id == asked.c.job_id)
    days = [today - timedelta(days=back) for back in range(WEEK_DAYS, 0, -1)]
    counts = {job: dict.fromkeys(days, 0) for job in jobs}
    came = job_days.c.successes + job_days.c.warnings + job_days.c.failures + job_days.c.cancelled
    query = select(job_days.c.job_id, job_days.c.day, came.label("came")).join_from(asked, job_days, same)
    for row in await view.connection.execute(query.where(job_days.c.day >= days[0], job_days.c.day < today)):
        counts[row.job_id][row.day] = row.came
    return {job: list(by_day.values()) for job, by_day in counts.items()}
