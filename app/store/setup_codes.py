"""The one-time codes of relays in the database, by hash."""

from dataclasses import asdict

from sqlalchemy import delete, insert, select, update

from app.domain.setup_code import SetupCode
from app.store.tables_managed import setup_codes
from app.store.transactions import WriteTx


async def put_setup_code(tx: WriteTx, code: SetupCode) -> None:
    """Store a code; it replaces the relay's earlier one."""
    await delete_setup_code(tx, code.relay_id)
    await tx.connection.execute(insert(setup_codes).values(**asdict(code)))


async def find_setup_code(tx: WriteTx, name: str) -> SetupCode | None:
    """Return a code by its name, locked until the commit: it must not be exchanged twice."""
    row = (await tx.connection.execute(select(setup_codes).where(setup_codes.c.name == name).with_for_update())).first()
    return None if row is None else SetupCode(row.relay_id, row.name, row.hash, row.expires_at, row.tries_left)


async def count_failed_try(tx: WriteTx, relay_id: str) -> None:
    """Take one try away from a relay's code."""
    counted = update(setup_codes).where(setup_codes.c.relay_id == relay_id, setup_codes.c.tries_left > 0)
    await tx.connection.execute(counted.values(tries_left=setup_codes.c.tries_left - 1))


async def delete_setup_code(tx: WriteTx, relay_id: str) -> None:
    """Delete a relay's code, used or not."""
    await tx.connection.execute(delete(setup_codes).where(setup_codes.c.relay_id == relay_id))
