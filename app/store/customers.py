"""Customers as stored."""

from datetime import datetime

from sqlalchemy import delete, func, select, update

from app.store.records import Records
from app.store.tables import agents, customers
from app.store.tables_managed import keys, recipients, routes, rules, silences, summary_schedules
from app.store.transactions import ReadTx, WriteTx

CUSTOMERS = Records(customers, "cus")
_OWNED = (
    ("agent", agents),
    ("recipient", recipients),
    ("route", routes),
    ("rule", rules),
    ("summary schedule", summary_schedules),
)


async def used_by(tx: ReadTx, customer_id: str, now: datetime) -> list[str]:
    """Say what is the customer's and still in use, with numbers."""
    wanted = [(noun, select(func.count()).where(table.c.customer_id == customer_id)) for noun, table in _OWNED]
    living_keys = keys.c.customer_id == customer_id, keys.c.revoked_at.is_(None)
    holding = silences.c.customer_id == customer_id, silences.c.ends_at > now
    wanted += [("key", select(func.count()).where(*living_keys)), ("silence", select(func.count()).where(*holding))]
    found = [(noun, int(await tx.connection.scalar(query) or 0)) for noun, query in wanted]
    return [f"{number} {noun}{'s' if number > 1 else ''}" for noun, number in found if number]


async def let_go(tx: WriteTx, customer_id: str) -> None:
    """Cut what is over from a customer that is deleted: revoked keys stay, without it; ended silences go."""
    await tx.connection.execute(update(keys).where(keys.c.customer_id == customer_id).values(customer_id=None))
    await tx.connection.execute(delete(silences).where(silences.c.customer_id == customer_id))
