"""Recipients in the database."""

from collections.abc import Collection

from sqlalchemy import select

from app.domain.recipient import Recipient
from app.store.prepared import Prepared
from app.store.repository import Page, Repository, Window, equals
from app.store.row_mapping import readable_values
from app.store.tables_managed import recipients, routes, summary_schedules
from app.store.transactions import ReadTx

RECIPIENTS = Repository(
    recipients, Recipient, noun="recipient", prefix="rcp", edited=("name", "customer_id", "transports")
)


_BY_ID = Prepared(lambda db: select(*RECIPIENTS.mapping.columns).where(db.one_of(recipients.c.id, "ids")))
_ALL = Prepared(lambda _: select(*RECIPIENTS.mapping.columns).order_by(recipients.c.id))


async def page_recipients(
    tx: ReadTx, window: Window, *, customer_id: str | None = None, name: str | None = None
) -> Page[Recipient]:
    """Return recipients in the order of their ids, filtered by customer and name."""
    return await RECIPIENTS.page(tx, equals(recipients, customer_id=customer_id, name=name), window)


async def recipients_by_id(tx: ReadTx, ids: Collection[str]) -> dict[str, Recipient]:
    """Return those of `ids` that exist."""
    rows = await tx.fetch(_BY_ID, ids=sorted(ids)) if ids else []
    return {one.id: one for one in readable_values(rows, RECIPIENTS.mapping, "recipient")}


async def all_recipients(tx: ReadTx) -> list[Recipient]:
    """Return every recipient; there are few."""
    return readable_values(await tx.fetch(_ALL), RECIPIENTS.mapping, "recipient")


async def used_by(tx: ReadTx, recipient_id: str) -> list[str]:
    """Return the names of the routes and summary schedules that lead to the recipient, such as `route 'nights'`."""
    found: list[str] = []
    for noun, table in (("route", routes), ("summary schedule", summary_schedules)):
        rows = await tx.connection.execute(select(table.c.name, table.c.recipients).order_by(table.c.name))
        found += [f"{noun} '{row.name}'" for row in rows if recipient_id in row.recipients]
    return found
