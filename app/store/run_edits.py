"""What an edit of a job's expectation means for its runs that have not ended. Folding's own part lies in run_fold.py."""

from datetime import timedelta

from sqlalchemy import bindparam, select, update

from app.store.tables import runs
from app.store.transactions import WriteTx


async def set_longest(tx: WriteTx, job_id: str, longest: timedelta | None) -> None:
    """Say from when the job's open runs take too long; None: never."""
    is_open = runs.c.job_id == job_id, runs.c.ended_at.is_(None), runs.c.outcome.is_(None)
    if longest is None:
        await tx.connection.execute(update(runs).where(*is_open).values(overrun_at=None))
        return
    began = await tx.connection.execute(
        select(runs.c.id, runs.c.started_at).where(*is_open, runs.c.started_at.is_not(None))
    )
    rows = [{"of_run": row.id, "at": row.started_at + longest} for row in began]
    if rows:
        change = (
            update(runs)
            .where(runs.c.id == bindparam("of_run"))
            .values(overrun_at=bindparam("at", type_=runs.c.overrun_at.type))
        )
        await tx.connection.execute(change, rows)
