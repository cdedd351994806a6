"""How long what is kept: the administrators' own word, else the settings'."""

from sqlalchemy import insert, select, update

from app.domain.record import Record
from app.store.tables_managed import retention
from app.store.transactions import ReadTx, WriteTx

_ONLY = 1  # the table has one row, or none as long as the settings hold


async def find_retention(tx: ReadTx, *, for_change: bool = False) -> Record | None:
    """Give what administrators set, or None."""
    query = select(retention).where(retention.c.id == _ONLY)
    row = (await tx.connection.execute(query.with_for_update() if for_change else query)).one_or_none()
    if row is None:
        return None
    days = {"keep_events_days": row.keep_events_days, "keep_history_days": row.keep_history_days}
    return Record(str(row.id), row.version, days)


async def save_retention(tx: WriteTx, keep_events_days: int, keep_history_days: int, version: int) -> None:
    """Keep what administrators set, as this version."""
    days = {"keep_events_days": keep_events_days, "keep_history_days": keep_history_days, "version": version}
    done = await tx.connection.execute(update(retention).where(retention.c.id == _ONLY).values(**days))
    if done.rowcount == 0:
        await tx.connection.execute(insert(retention).values(id=_ONLY, **days))
