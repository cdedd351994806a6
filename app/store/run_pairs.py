"""Finds what stands beside given moments in a job's history, so that starts and ends that name no run can be paired."""

from datetime import datetime

from sqlalchemy import func, select

from app.domain.event import RunOutcome
from app.domain.pairing import FAR, Around
from app.domain.run import ALONE
from app.store.mapping import run_from
from app.store.tables import runs
from app.store.transactions import ReadTx

MOST = 5_000  # of each; more lie in one span only when years are sent at once


async def find_around(tx: ReadTx, job_id: str, first: datetime, last: datetime) -> Around:
    """Give the job's ends from `first` to the next one after `last`, and the starts that one of them may take."""
    ended = (runs.c.job_id == job_id, runs.c.outcome != RunOutcome.MISSED)
    ask = tx.connection
    since = await ask.scalar(select(func.max(runs.c.ended_at)).where(*ended, runs.c.ended_at < first))
    until = await ask.scalar(select(func.min(runs.c.ended_at)).where(*ended, runs.c.ended_at > last)) or last
    ends = select(runs).where(*ended, runs.c.ended_at >= first, runs.c.ended_at <= until)
    earliest = first - FAR if since is None else max(since, first - FAR)
    starts = select(runs).where(
        runs.c.job_id == job_id,
        runs.c.ended_at.is_(None),
        runs.c.started_at >= earliest,
        runs.c.started_at <= until,
        runs.c.run_key.startswith(ALONE),
    )
    found = list(await ask.execute(ends.limit(MOST)))
    # One by one, for the index: without an end a run has none of the other outcomes.
    for outcome in (runs.c.outcome.is_(None), runs.c.outcome == RunOutcome.SUPERSEDED):
        found += await ask.execute(starts.where(outcome).limit(MOST))
    return Around(since, {row.run_key: run_from(row) for row in found})
