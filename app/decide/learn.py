"""Learns a job's cadence from its runs and proposes it as an expectation, for jobs without an expectation of an administrator.

Nobody needs to write a cron line to be notified of a backup that stopped. A proposal that waits to be confirmed is in force
already (`missed.py`), but more gently than a confirmed one: the alert is a warning and names what it was learned from, the runs are
read once more before it opens, and after five slots without a run the job is no longer expected. Manual jobs have no cadence.

The runs are read and judged outside of the writing transaction: learning takes milliseconds, and on SQLite there is one writer.
The cost does not grow with the history, and old jobs are learned less and less often (`fold.py`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.context import AppContext
from app.core.log import log
from app.domain.cadence import MAX_RUNS, RunTimes, propose, run_times
from app.domain.expectation import Expectation, next_slot, overdue_time
from app.domain.job import ExpectationSource, Job
from app.store import jobs, runs
from app.store.customers import customers_by_id
from app.store.transactions import ReadTx

BATCH = 10  # learning takes milliseconds a job, in which the events and mails of others wait for the processor


@dataclass(frozen=True, slots=True)
class CadenceInput:
    """What one job's cadence is learned from."""

    seen: Sequence[RunTimes]
    zones: tuple[str, ...]
    per_day: Sequence[int]


async def tick(context: AppContext) -> bool:
    """Learn the cadence of jobs that have new runs. True when there may be more at once."""
    now = context.clock()
    async with context.database.read() as tx:
        due, unreadable = await jobs.jobs_to_learn(tx, now, BATCH)
        inputs = await _read_inputs(tx, due, context.settings.time_zone, now)
    unreadable += [job.id for job in due if job.id not in inputs]
    if unreadable:
        async with context.database.write() as tx:
            await jobs.learn_later(tx, unreadable, now)
    if not inputs:
        return bool(unreadable)
    proposed = await asyncio.to_thread(_propose, inputs)
    async with context.database.write() as tx:
        locked = await jobs.lock_jobs_by_id(tx, proposed, waits=False)  # those that are decided on stay due
        await jobs.save_jobs(tx, [note_proposal(job, proposed[job.id], now) for job in locked])
    return len(inputs) + len(unreadable) >= BATCH


async def _read_inputs(tx: ReadTx, due: Sequence[Job], own_zone: str, now: datetime) -> Mapping[str, CadenceInput]:
    """Read each job's runs, and its counts by day where the runs do not reach far back. Jobs whose customer cannot be read are left out."""
    customers = await customers_by_id(tx, {job.customer_id for job in due})
    due = [job for job in due if job.customer_id in customers]
    found = await runs.newest_runs(tx, [job.id for job in due], MAX_RUNS)
    frequent = {job.id: job.customer_id for job in due if len(found.get(job.id, [])) >= MAX_RUNS}
    # The day before yesterday is over in every time zone; yesterday by UTC may not be.
    per_day = await runs.runs_per_day(tx, frequent, now.date() - timedelta(days=1)) if frequent else {}
    return {
        job.id: CadenceInput(
            run_times(found.get(job.id, [])),
            (customers[job.customer_id].time_zone, own_zone, "UTC"),
            per_day.get(job.id, ()),
        )
        for job in due
    }


def _propose(inputs: Mapping[str, CadenceInput]) -> dict[str, Expectation | None]:
    proposed: dict[str, Expectation | None] = {}
    for job_id, learned_from in inputs.items():
        try:
            proposed[job_id] = propose(learned_from.seen, learned_from.zones, learned_from.per_day)
        except Exception:  # noqa: BLE001  (one job, such as one with a time zone that no longer exists, must not stop all others)
            log.exception("the cadence of a job cannot be learned; it is tried again after its next run", job=job_id)
            proposed[job_id] = None
    return proposed


def note_proposal(job: Job, proposed: Expectation | None, now: datetime) -> Job:
    """Return the job with what was learned, which is in force unless there is a better expectation."""
    previous = job.proposed_expectation
    job = replace(job, learned_at=now, learn_at=None)
    if job.expectation is not None or job.dismissed_at is not None or proposed == previous:
        return job
    job = replace(job, proposed_expectation=proposed)
    if job.expectation_source is ExpectationSource.ANNOUNCED:
        return job
    if proposed is None:
        return replace(job, next_due_at=None, overdue_at=None)
    # The first proposal begins now and calls nothing missed that lies before; a changed one continues from the previous one.
    since = now if previous is None else job.last_came_at or now
    settled, slot = next_slot(proposed, job.last_came_at, None if previous is None else job.last_due_at, since)
    return replace(job, last_due_at=settled, next_due_at=slot, overdue_at=overdue_time(proposed, slot))
