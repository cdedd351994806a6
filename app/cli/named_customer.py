"""The option --customer of commands: a customer's id or name."""

from app.core.errors import BadInput
from app.store.customers import CUSTOMERS, page_customers
from app.store.repository import Window
from app.store.transactions import ReadTx


async def find_customer(tx: ReadTx, named: str | None) -> str:
    """Return the id of the customer with this id or name; None means the only customer. Raises BadInput."""
    if named is not None and await CUSTOMERS.find(tx, named) is not None:
        return named
    found = (await page_customers(tx, Window(2), name=named)).items
    if len(found) != 1:
        is_unnamed = "there is more than one customer, or none: name it"
        raise BadInput(f"--customer: {is_unnamed if named is None else f'there is no customer {named!r}'}")
    return found[0].id
