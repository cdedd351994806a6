"""Customers in the database, the names of what they have, and the conditions that limit a list to one customer.

`Scope` says whose rows a list shows: of one customer, or of agents and jobs, by id or by name.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, delete, func, select, update

from app.domain.customer import Customer
from app.store.prepared import Prepared
from app.store.repository import Page, Repository, Window, equals
from app.store.row_mapping import UNREADABLE, log_unreadable, readable_values
from app.store.tables import agents, alerts, customers, jobs
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


CUSTOMERS_BY_ID = Prepared(lambda db: select(*CUSTOMERS.mapping.columns).where(db.one_of(customers.c.id, "ids")))


async def page_customers(tx: ReadTx, window: Window, *, name: str | None = None) -> Page[Customer]:
    """Return customers in the order of their ids, filtered by name."""
    return await CUSTOMERS.page(tx, equals(customers, name=name), window)


async def customers_by_id(tx: ReadTx, ids: Iterable[str]) -> dict[str, Customer]:
    """Return those of `ids` that exist and can be read; the others are logged."""
    wanted = sorted(set(ids))
    try:
        rows = await tx.fetch(CUSTOMERS_BY_ID, ids=wanted)
    except UNREADABLE as cause:  # SQLite holds a damaged time: no row of the result can be had
        if len(wanted) > 1:
            return {one.id: one for each in wanted for one in (await customers_by_id(tx, [each])).values()}
        log_unreadable("customer", wanted[0], cause)
        rows = []
    return {one.id: one for one in readable_values(rows, CUSTOMERS.mapping, "customer")}


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


@dataclass(frozen=True, slots=True)
class Scope:
    """What was asked for; None asks for nothing. `agent` and `job` are names, and several agents or jobs may have the same."""

    customer_id: str | None = None
    agent_id: str | None = None
    agent: str | None = None
    job_id: str | None = None
    job: str | None = None

    @property
    def names_agent_or_job(self) -> bool:
        """Whether it asks for more than a customer."""
        return (self.agent_id, self.agent, self.job_id, self.job) != (None, None, None, None)


def named_agents(scope: Scope) -> Select[tuple[str]]:
    """Select the ids of the agents that are asked for by name."""
    query = select(agents.c.id).where(agents.c.name == scope.agent)
    if scope.customer_id is not None:
        query = query.where(agents.c.customer_id == scope.customer_id)
    if scope.agent_id is not None:
        query = query.where(agents.c.id == scope.agent_id)
    return query


async def agent_ids(tx: ReadTx, scope: Scope) -> list[str] | None:
    """Return the agents that are asked for by id or name; None where no agent is."""
    if scope.agent is None:
        return None if scope.agent_id is None else [scope.agent_id]
    return list(await tx.connection.scalars(named_agents(scope)))


def jobs_of(scope: Scope) -> Select[tuple[str]]:
    """Select the ids of the jobs that are in the scope."""
    query = select(jobs.c.id).join_from(jobs, agents, agents.c.id == jobs.c.agent_id)
    asked = (
        (jobs.c.customer_id, scope.customer_id),
        (jobs.c.agent_id, scope.agent_id),
        (agents.c.name, scope.agent),
        (jobs.c.id, scope.job_id),
        (jobs.c.name, scope.job),
    )
    return query.where(*(column == value for column, value in asked if value is not None))


async def job_ids(tx: ReadTx, scope: Scope) -> list[str]:
    """Return the jobs that are in the scope."""
    return list(await tx.connection.scalars(jobs_of(scope)))


def alerts_of(scope: Scope) -> Select[tuple[str]]:
    """Select the ids of the alerts about the agents or jobs that the scope names. The alerts of a deleted job or agent have its id."""
    query = select(alerts.c.id)
    if scope.job is not None:
        query = query.where(alerts.c.subject_id.in_(jobs_of(scope)))
    elif scope.job_id is not None:
        query = query.where(alerts.c.subject_id == scope.job_id)
    if scope.agent is not None:
        query = query.where(alerts.c.agent_id.in_(named_agents(scope)))
    elif scope.agent_id is not None:
        query = query.where(alerts.c.agent_id == scope.agent_id)
    return query
