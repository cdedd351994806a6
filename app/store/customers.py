"""Customers in the database, and the names of what they have."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, func, select, update

from app.domain.customer import Customer
from app.store.prepared import Prepared
from app.store.repository import Page, Repository, Window, equals
from app.store.tables import agents, customers, jobs
from app.store.tables_managed import keys, recipients, routes, rules, silences, summary_schedules
from app.store.transactions import ReadTx, WriteTx

NAMES_MOST = 5_000  # of agents, and of jobs: the cost must not grow with the number of jobs
CUSTOMERS = Repository(customers, Customer, noun="customer", prefix="cus")
_OWNED = (
    ("agent", agents),
    ("recipient", recipients),
    ("route", routes),
    ("rule", rules),
    ("summary schedule", summary_schedules),
)


_BY_ID = Prepared(lambda db: select(*CUSTOMERS.mapping.columns).where(db.one_of(customers.c.id, "ids")))


async def page_customers(tx: ReadTx, window: Window, *, name: str | None = None) -> Page[Customer]:
    """Return customers in the order of their ids, filtered by name."""
    return await CUSTOMERS.page(tx, equals(customers, name=name), window)


async def customers_by_id(tx: ReadTx, ids: Iterable[str]) -> dict[str, Customer]:
    """Return those of `ids` that exist."""
    found = [CUSTOMERS.mapping.read_values(values) for values in await tx.fetch(_BY_ID, ids=sorted(set(ids)))]
    return {customer.id: customer for customer in found}


async def used_by(tx: ReadTx, customer_id: str, now: datetime) -> list[str]:
    """Return what still belongs to the customer and is in use, with numbers, such as `2 agents`."""
    wanted = [(noun, select(func.count()).where(table.c.customer_id == customer_id)) for noun, table in _OWNED]
    living_keys = keys.c.customer_id == customer_id, keys.c.revoked_at.is_(None)
    holding = silences.c.customer_id == customer_id, silences.c.ends_at > now
    wanted += [("key", select(func.count()).where(*living_keys)), ("silence", select(func.count()).where(*holding))]
    found = [(noun, int(await tx.connection.scalar(query) or 0)) for noun, query in wanted]
    return [f"{number} {noun}{'s' if number > 1 else ''}" for noun, number in found if number]


async def detach_customer(tx: WriteTx, customer_id: str) -> None:
    """Detach what is over from a customer that is about to be deleted: revoked keys stay, without it; ended silences are deleted."""
    await tx.connection.execute(update(keys).where(keys.c.customer_id == customer_id).values(customer_id=None))
    await tx.connection.execute(delete(silences).where(silences.c.customer_id == customer_id))


async def some_names(tx: ReadTx, customer_id: str) -> list[str]:
    """Return names of agents and jobs, at most 5000 of each, in no order: to sort 100 000 jobs would cost more than it is worth."""
    names: list[str] = []
    for table in (agents, jobs):
        query = select(table.c.name).where(table.c.customer_id == customer_id).limit(NAMES_MOST)
        names += (await tx.connection.execute(query)).scalars()
    return names


async def ids_of_customers(tx: ReadTx, named: Iterable[str]) -> list[str]:
    """Return the ids of the customers with these names or ids, in the order of their ids."""
    asked = list(named)
    query = (
        select(customers.c.id).where(customers.c.id.in_(asked) | customers.c.name.in_(asked)).order_by(customers.c.id)
    )
    return list(await tx.connection.scalars(query))
