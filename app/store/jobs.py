"""Jobs as stored, for showing and editing. What deciding needs of them lies in job_fold.py."""

from sqlalchemy import ColumnElement, delete

from app.store.records import Columns, Records
from app.store.tables import job_days, jobs, runs
from app.store.unit import Unit


def _is_expected(columns: Columns, wanted: bool) -> ColumnElement[bool]:  # noqa: FBT001  (a filter's value)
    return columns.expectation.is_not(None) if wanted else columns.expectation.is_(None)


JOBS = Records(jobs, "job", indexed=frozenset({"agent_id"}), filters={"expected": _is_expected})


async def delete_history_of(unit: Unit, job_id: str) -> None:
    """Delete the runs and daily sums of a job that is deleted with them. Its events stay until their time is over."""
    await unit.connection.execute(delete(runs).where(runs.c.job_id == job_id))
    await unit.connection.execute(delete(job_days).where(job_days.c.job_id == job_id))
