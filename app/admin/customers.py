"""Customers: whose backups these are. One that still has agents, routes or the like cannot be deleted."""

from app.admin.editing import Editor, Noun
from app.core.errors import Conflict
from app.domain.record import Record
from app.store.customers import CUSTOMERS, let_go, used_by
from app.store.transactions import WriteTx


async def _detach(tx: WriteTx, customer: Record, by: Editor) -> None:
    users = await used_by(tx, customer.id, by.at)
    if users:
        raise Conflict(f"the customer still has {', '.join(users)}; delete or revoke them first", code="in_use")
    await let_go(tx, customer.id)


NOUN = Noun("customer", CUSTOMERS, detach=_detach)
