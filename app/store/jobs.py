"""Jobs as stored, for showing and editing. What deciding needs of them lies in job_fold.py."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select, text

from app.store.records import Columns, Records
from app.store.tables import job_days, jobs, runs
from app.store.transactions import WriteTx


def _is_expected(columns: Columns, wanted: bool) -> ColumnElement[bool]:  # noqa: FBT001  (a filter's value)
    return columns.expectation.is_not(None) if wanted else columns.expectation.is_(None)


def _is_proposed(columns: Columns, wanted: bool) -> ColumnElement[bool]:  # noqa: FBT001  (a filter's value)
    return columns.proposed_expectation.is_not(None) if wanted else columns.proposed_expectation.is_(None)


# Nobody said, told or could learn when it is to run, nor that it need not: if it never ran again, nobody would hear of it.
WITHOUT_EXPECTATION = and_(
    *(jobs.c[name].is_(None) for name in ("expectation", "proposed_expectation", "told_expectation", "dismissed_at"))
)
JOBS = Records(
    jobs, "job", indexed=frozenset({"agent_id"}), filters={"expected": _is_expected, "proposed": _is_proposed}
)


async def lock_proposed(tx: WriteTx, filters: Mapping[str, Any], limit: int) -> list[str]:
    """Give the ids of jobs whose proposal waits to be confirmed, locked, oldest first; `filters`: columns and their values."""
    same = [jobs.c[name] == value for name, value in filters.items()]
    waiting = select(jobs.c.id).where(text("proposed_expectation IS NOT NULL"), *same)
    return list(await tx.connection.scalars(waiting.order_by(jobs.c.id).limit(limit).with_for_update()))


async def delete_history_of(tx: WriteTx, job_id: str) -> None:
    """Delete the runs and daily sums of a job that is deleted with them. Its events stay until their time is over."""
    await tx.connection.execute(delete(runs).where(runs.c.job_id == job_id))
    await tx.connection.execute(delete(job_days).where(job_days.c.job_id == job_id))
