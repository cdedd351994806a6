"""What administrators do to customers."""

from collections.abc import Callable, Collection

from app.admin import editing
from app.admin.editing import Editor
from app.core.errors import Conflict
from app.domain.customer import Customer
from app.store.customers import CUSTOMERS, detach_customer, used_by
from app.store.transactions import WriteTx


async def create_customer(tx: WriteTx, customer: Customer, by: Editor) -> Customer:
    """Add a customer. Raises Conflict if the name is taken."""
    return await editing.insert(tx, CUSTOMERS, customer, by)


async def update_customer(
    tx: WriteTx,
    customer_id: str,
    edit: Callable[[Customer], Customer],
    by: Editor,
    *,
    versions: Collection[int] | None = None,
) -> Customer:
    """Change a customer. Raises NotFound, StaleEdit, and Conflict if the name is taken."""
    before = await editing.lock_to_change(tx, CUSTOMERS, customer_id, by, versions)
    after = edit(before)
    if after == before:
        return before
    return await editing.save(tx, CUSTOMERS, before, after, by)


async def delete_customer(
    tx: WriteTx, customer_id: str, by: Editor, *, versions: Collection[int] | None = None
) -> None:
    """Delete a customer. Raises NotFound, StaleEdit, and Conflict while it has agents, routes, keys in use or the like."""
    customer = await editing.lock_to_delete(tx, CUSTOMERS, customer_id, versions)
    users = await used_by(tx, customer.id, by.at)
    if users:
        raise Conflict(f"the customer still has {', '.join(users)}; delete or revoke them first", code="in_use")
    await detach_customer(tx, customer.id)
    await editing.delete(tx, CUSTOMERS, customer, by)
