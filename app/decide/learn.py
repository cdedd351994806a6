"""Learns a job's cadence from its runs and proposes it as an expectation, for jobs that nobody has said one for.

Nobody needs to write a cron line for a tool's silence to be noticed. A proposal that waits to be confirmed is already watched
(`missed.py`), but more gently than a confirmed one: the alert is a warning and says what it rests on, the runs are looked at once
more before it opens, and after five slots without a run the habit is held to be given up. Manual jobs have no cadence to miss.

The runs are read and judged outside of the writing transaction: a look takes milliseconds, and on SQLite there is one writer.
What a look costs does not grow with history, and old jobs are looked at less and less often (`fold.py`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.context import AppContext
from app.core.log import log
from app.domain.cadence import LOOK, Sighting, propose, sightings_of
from app.domain.expectation import Expectation, next_slot
from app.domain.job import Basis, Job, basis_of
from app.store import job_fold, sightings
from app.store.customers import customers_by_id
from app.store.transactions import ReadTx

BATCH = 50


@dataclass(frozen=True, slots=True)
class Look:
    """What one job's cadence is learned from."""

    seen: Sequence[Sighting]
    zones: tuple[str, ...]
    per_day: Sequence[int]


async def tick(context: AppContext) -> bool:
    """Look at the runs of jobs that have new ones. True when there may be more at once."""
    now = context.clock()
    async with context.database.read() as tx:
        due = await job_fold.jobs_to_learn(tx, now, BATCH)
        looks = await _looks(tx, due, context.settings.time_zone, now)
    if not due:
        return False
    proposed = await asyncio.to_thread(_propose, looks)
    async with context.database.write() as tx:
        locked = await job_fold.lock_jobs_by_id(tx, proposed)
        await job_fold.save_jobs(tx, [_learned(job, proposed[job.id], now) for job in locked])
    return len(due) >= BATCH


async def _looks(tx: ReadTx, due: Sequence[Job], own_zone: str, now: datetime) -> Mapping[str, Look]:
    """Read each job's runs, and its counts by day where the runs do not reach far back."""
    customers = await customers_by_id(tx, {job.customer_id for job in due})
    found = await sightings.newest_runs(tx, [job.id for job in due], LOOK)
    many = {job.id: job.customer_id for job in due if len(found.get(job.id, [])) >= LOOK}
    # Yesterday by UTC may not be over everywhere; the day before is.
    per_day = await sightings.runs_per_day(tx, many, now.date() - timedelta(days=1)) if many else {}
    return {
        job.id: Look(
            sightings_of(found.get(job.id, [])),
            (customers[job.customer_id].time_zone, own_zone, "UTC"),
            per_day.get(job.id, ()),
        )
        for job in due
    }


def _propose(looks: Mapping[str, Look]) -> dict[str, Expectation | None]:
    proposed: dict[str, Expectation | None] = {}
    for job_id, look in looks.items():
        try:
            proposed[job_id] = propose(look.seen, look.zones, look.per_day)
        except Exception:  # noqa: BLE001  (the rim of one job: a time zone that is no more must not keep all others unlearned)
            log.exception("the cadence of a job cannot be learned; it is tried again after its next run", job=job_id)
            proposed[job_id] = None
    return proposed


def _learned(job: Job, proposed: Expectation | None, now: datetime) -> Job:
    """Note what was learned, and hold the job to it unless something better is known of it."""
    was = job.proposed_expectation
    job = replace(job, learned_at=now, learn_at=None)
    if job.expectation is not None or job.dismissed_at is not None or proposed == was:
        return job
    job = replace(job, proposed_expectation=proposed)
    if basis_of(job) is Basis.TOLD:
        return job
    if proposed is None:
        return replace(job, next_due_at=None, overdue_at=None)
    # The first one begins now, and calls nothing missed that lies before it; a better one goes on where the old one was.
    since = now if was is None else job.last_came_at or now
    settled, awaited = next_slot(proposed, job.last_came_at, None if was is None else job.last_due_at, since)
    return replace(job, last_due_at=settled, next_due_at=awaited, overdue_at=awaited + proposed.grace)
