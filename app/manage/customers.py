"""Customers: whose backups these are. One that still has agents, routes or the like cannot be deleted."""

from app.base.errors import Conflict
from app.domain.record import Record
from app.manage.editing import Editor, Noun
from app.store.customers import CUSTOMERS, let_go, used_by
from app.store.unit import Unit


async def _detach(unit: Unit, customer: Record, by: Editor) -> None:
    users = await used_by(unit, customer.id, by.at)
    if users:
        raise Conflict(f"the customer still has {', '.join(users)}; delete or revoke them first", code="in_use")
    await let_go(unit, customer.id)


NOUN = Noun("customer", CUSTOMERS, detach=_detach)
