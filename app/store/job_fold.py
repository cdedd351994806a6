"""Jobs as deciding needs them: made when first heard of, locked, saved, and found when they are overdue."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.core.ids import new_id
from app.domain.expectation import Expectation
from app.domain.job import Job, JobState
from app.store.jobs import JOBS
from app.store.json_forms import expectation_json
from app.store.key_table import key_table
from app.store.readable import readable
from app.store.tables import jobs
from app.store.transactions import ReadTx, WriteTx

SAVED = (
    "labels",
    "proposed_expectation",
    "told_expectation",
    "told_at",
    "learned_at",
    "learn_at",
    "state",
    "failures_in_row",
    "warnings_in_row",
    "missed_in_row",
    "failing_since",
    "running_since",
    "last_outcome",
    "last_finished_at",
    "last_success_at",
    "last_came_at",
    "last_message",
    "last_run_id",
    "last_due_at",
    "next_due_at",
    "overdue_at",
)


class JobName(NamedTuple):
    """What tells one job from another."""

    customer_id: str
    agent_id: str
    name: str
    activity: str


async def lock_jobs(
    tx: WriteTx, names: Iterable[JobName], now: datetime, to_make: Collection[JobName]
) -> dict[JobName, Job]:
    """Give jobs by name, `to_make` made where they are new, locked in the order of their ids so that two workers cannot deadlock."""
    asked = sorted(set(names))
    found = await _find(tx, asked)
    missing = [name for name in asked if name in to_make and name not in found]
    if missing:
        insert = sqlite.insert if tx.is_sqlite else postgresql.insert
        blank = {
            "labels": {},
            "state": JobState.NEW,
            "failures_in_row": 0,
            "warnings_in_row": 0,
            "missed_in_row": 0,
            "created_at": now,
        }
        await tx.connection.execute(
            insert(jobs).on_conflict_do_nothing(),
            [{"id": new_id("job"), **name._asdict(), **blank} for name in missing],
        )
        found |= await _find(tx, missing)
    return found


async def _find(tx: WriteTx, names: Sequence[JobName]) -> dict[JobName, Job]:
    if not names:
        return {}
    new = key_table(tx, names, *JobName._fields)
    same = and_(*(jobs.c[name] == new.c[name] for name in JobName._fields))
    rows = await tx.connection.execute(
        select(jobs).join_from(new, jobs, same).order_by(jobs.c.id).with_for_update(of=jobs)
    )
    return {JobName(row.customer_id, row.agent_id, row.name, row.activity): JOBS.mapping.read(row) for row in rows}


async def save_jobs(tx: WriteTx, changed: Sequence[Job]) -> None:
    """Keep the state of jobs; what admins edit (the expectation) is left alone."""
    if changed:
        change = (
            update(jobs)
            .where(jobs.c.id == bindparam("of_id"))
            .values({name: bindparam("new_" + name) for name in SAVED})
        )
        await tx.connection.execute(
            change, [{"of_id": job.id, **{"new_" + name: _stored(job, name) for name in SAVED}} for job in changed]
        )


def _stored(job: Job, name: str) -> Any:  # noqa: ANN401  (whatever the column holds)
    value = getattr(job, name)
    return expectation_json(value) if isinstance(value, Expectation) else value


async def overdue_jobs(tx: WriteTx, before: datetime, limit: int) -> list[Job]:
    """Claim jobs whose slot and grace have passed without a sign of life."""
    due = select(jobs).where(jobs.c.overdue_at <= before).order_by(jobs.c.overdue_at).limit(limit)
    return readable(await tx.connection.execute(due.with_for_update(skip_locked=True)), JOBS.mapping.read, "job")


async def jobs_to_learn(tx: ReadTx, before: datetime, limit: int) -> list[Job]:
    """Give jobs whose runs are to be looked at for a cadence."""
    due = select(jobs).where(jobs.c.learn_at <= before).order_by(jobs.c.learn_at).limit(limit)
    return readable(await tx.connection.execute(due), JOBS.mapping.read, "job")


async def lock_jobs_by_id(tx: WriteTx, ids: Iterable[str]) -> list[Job]:
    """Give jobs by id, locked in the order of their ids so that two workers cannot deadlock."""
    found = select(jobs).where(jobs.c.id.in_(set(ids))).order_by(jobs.c.id).with_for_update()
    return readable(await tx.connection.execute(found), JOBS.mapping.read, "job")


async def jobs_by_id(tx: ReadTx, ids: Iterable[str]) -> dict[str, Job]:
    """Give jobs by id."""
    rows = await tx.connection.execute(select(jobs).where(jobs.c.id.in_(set(ids))))
    return {row.id: JOBS.mapping.read(row) for row in rows}
