"""Recipients as stored."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Row, select, update

from app.domain.recipient import Recipient
from app.store.json_forms import addresses_of
from app.store.readable import readable
from app.store.records import Records
from app.store.tables import notices
from app.store.tables_managed import recipients, routes, summary_schedules
from app.store.transactions import ReadTx, WriteTx

RECIPIENTS = Records(recipients, "rcp")


async def recipients_by_id(tx: ReadTx, ids: Collection[str]) -> dict[str, Recipient]:
    """Give those of `ids` that exist."""
    rows = await tx.connection.execute(select(recipients).where(recipients.c.id.in_(ids)))
    return {one.id: one for one in readable(rows, _recipient_of, "recipient")}


def _recipient_of(row: Row[Any]) -> Recipient:
    return Recipient(id=row.id, name=row.name, customer_id=row.customer_id, transports=addresses_of(row.transports))


async def used_by(tx: ReadTx, recipient_id: str) -> list[str]:
    """Name the routes and summary schedules that lead to the recipient."""
    found: list[str] = []
    for noun, table in (("route", routes), ("summary schedule", summary_schedules)):
        rows = await tx.connection.execute(select(table.c.name, table.c.recipients).order_by(table.c.name))
        found += [f"{noun} '{row.name}'" for row in rows if recipient_id in row.recipients]
    return found


async def suppress_notices_to(tx: WriteTx, recipient_id: str, reason: str) -> None:
    """Withdraw what was still to be told to a recipient that is gone."""
    still = notices.c.state.in_(("waiting", "muted")), notices.c.recipient_id == recipient_id
    await tx.connection.execute(update(notices).where(*still).values(state="suppressed", reason=reason))
    await tx.connection.execute(
        update(notices)
        .where(notices.c.recipient_id == recipient_id, notices.c.repeat_at.is_not(None))
        .values(repeat_at=None)
    )
