"""The newest names of a customer's agents and jobs, for reading texts."""

from sqlalchemy import select

from app.store.tables import agents, jobs
from app.store.transactions import ReadTx

NAMES_MOST = 5_000  # of each kind: the cost must not grow with the number of jobs


async def newest_names(tx: ReadTx, customer_id: str) -> list[str]:
    """Return names of agents and jobs, the newest of each kind, at most 5000."""
    names: list[str] = []
    for table in (agents, jobs):
        newest = (
            select(table.c.name).where(table.c.customer_id == customer_id).order_by(table.c.id.desc()).limit(NAMES_MOST)
        )
        names += (await tx.connection.execute(newest)).scalars()
    return names
