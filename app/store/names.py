"""Names of a customer's agents and jobs, for reading texts."""

from sqlalchemy import select

from app.store.tables import agents, jobs
from app.store.transactions import ReadTx

NAMES_MOST = 5_000  # of each kind: the cost must not grow with the number of jobs


async def some_names(tx: ReadTx, customer_id: str) -> list[str]:
    """Return names of agents and jobs, at most 5000 of each, in no order: to sort 100 000 jobs would cost more than it is worth."""
    names: list[str] = []
    for table in (agents, jobs):
        query = select(table.c.name).where(table.c.customer_id == customer_id).limit(NAMES_MOST)
        names += (await tx.connection.execute(query)).scalars()
    return names
