"""How far our mailbox was read, and what is wrong with it."""

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite

from app.store.tables import mailbox_positions
from app.store.transactions import ReadTx, WriteTx


@dataclass(frozen=True, slots=True)
class MailboxPosition:
    """`next_uid` is the lowest UID not read yet, valid while the mailbox has this `uid_validity` (RFC 3501 section 2.3.1.1).

    `read_at`: when it was last read with success, or since when it cannot be read the first time. `trouble`: why it cannot, in words.
    """

    mailbox: str
    uid_validity: int
    next_uid: int
    read_at: datetime
    trouble: str | None = None


async def find_position(tx: ReadTx, mailbox: str) -> MailboxPosition | None:
    """Return how far a mailbox was read."""
    query = select(mailbox_positions).where(mailbox_positions.c.mailbox == mailbox)
    row = (await tx.connection.execute(query)).mappings().one_or_none()
    return None if row is None else MailboxPosition(**row)


async def last_read(tx: ReadTx) -> datetime | None:
    """Return when a mailbox of ours was last read with success; None if that never happened."""
    query = select(func.max(mailbox_positions.c.read_at)).where(mailbox_positions.c.uid_validity > 0)
    moment: datetime | None = await tx.connection.scalar(query)
    return moment


async def save_position(tx: WriteTx, position: MailboxPosition) -> None:
    """Note how far it was read. Two workers may do so in any order: what is read twice is stored once."""
    values = {field.name: getattr(position, field.name) for field in fields(position)}
    insert = (sqlite.insert if tx.is_sqlite else postgresql.insert)(mailbox_positions).values(values)
    await tx.connection.execute(insert.on_conflict_do_update(index_elements=["mailbox"], set_=values))
