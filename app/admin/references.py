"""Checks that what a request refers to exists; the error names the field."""

from collections.abc import Sequence

from app.core.errors import BadInput
from app.store.customers import CUSTOMERS
from app.store.routing import recipients_by_id
from app.store.transactions import ReadTx


async def check_customer(tx: ReadTx, customer_id: str | None) -> None:
    """Raise BadInput unless the customer exists or the id is None."""
    if customer_id is not None and await CUSTOMERS.find(tx, customer_id) is None:
        raise BadInput(f"there is no customer {customer_id}", code="unknown_customer", field="customer_id")


async def check_recipients(tx: ReadTx, ids: Sequence[str]) -> None:
    """Raise BadInput unless every recipient exists: alerts on a route to nobody would be lost."""
    found = await recipients_by_id(tx, ids)
    for recipient_id in ids:
        if recipient_id not in found:
            raise BadInput(f"there is no recipient {recipient_id}", code="unknown_recipient", field="recipients")
