"""What a start does in the database: the lock of the first start, the keys of the settings, the recipient that follows the settings."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists, func, insert, select, update

from app.core.ids import new_id
from app.domain.follow_up import FollowUp, FollowUpKind
from app.domain.key import Key
from app.domain.recipient import Address
from app.store.edits import insert_follow_up
from app.store.row_mapping import addresses_json
from app.store.tables import customers
from app.store.tables_managed import keys, recipients
from app.store.transactions import ReadTx, WriteTx

_LOCK = 0x70C52


async def lock_first_start(tx: WriteTx) -> None:
    """Take a lock until the commit, so that one process at a time fills the database. On SQLite the transaction is that lock already."""
    if not tx.is_sqlite:
        await tx.connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


async def is_new(tx: WriteTx) -> bool:
    """Return whether this database was never used. Keys are never deleted, so a database that an administrator emptied is not new."""
    used = select(exists(select(keys.c.id)) | exists(select(customers.c.id)))
    return not await tx.connection.scalar(used)


async def first_customer(tx: ReadTx) -> str | None:
    """Return the oldest customer's id, or None."""
    found: str | None = await tx.connection.scalar(select(func.min(customers.c.id)))
    return found


async def keep_fixed_key(tx: WriteTx, key: Key, key_hash: str) -> None:
    """Store a key of the settings under its name, in place of the previous one; do nothing if it is the same.

    A key that an administrator revoked stays revoked until the setting changes.
    """
    there = (
        await tx.connection.execute(select(keys.c.id, keys.c.kind, keys.c.name).where(keys.c.hash == key_hash))
    ).first()
    if there is not None and there.kind == key.kind:
        return
    values = {"hash": key_hash, "hint": key.hint, "created_at": key.created_at, "revoked_at": None}
    replaced = await tx.connection.execute(
        update(keys).where(keys.c.name == key.name, keys.c.kind == key.kind).values(**values)
    )
    if replaced.rowcount == 0:
        await tx.connection.execute(
            insert(keys).values(id=key.id, kind=key.kind, name=key.name, customer_id=key.customer_id, **values)
        )


async def follow_settings(tx: WriteTx, transports: Sequence[Address], at: datetime) -> bool:
    """Set the transports of the recipients that follow the settings; return whether there is any such recipient."""
    stored = addresses_json(transports)
    rows = (await tx.connection.execute(select(recipients).where(recipients.c.follows_settings.is_(True)))).all()
    for row in rows:
        if row.transports != stored:
            await tx.connection.execute(
                update(recipients)
                .where(recipients.c.id == row.id)
                .values(transports=stored, version=recipients.c.version + 1)
            )
            await insert_follow_up(tx, FollowUp(new_id("fup"), FollowUpKind.ADDRESSES, row.id, at, "new settings"))
    return bool(rows)
