"""The retention in the database: what administrators set, if they did."""

from sqlalchemy import insert, select, update

from app.domain.retention import Retention
from app.store.tables_managed import retention
from app.store.transactions import ReadTx, WriteTx

_ONLY = 1  # the table has one row, or none as long as the settings hold


async def find_retention(tx: ReadTx, *, for_change: bool = False) -> Retention | None:
    """Return what administrators set, or None."""
    query = select(retention).where(retention.c.id == _ONLY)
    row = (await tx.connection.execute(query.with_for_update() if for_change else query)).one_or_none()
    return None if row is None else Retention(row.keep_events_days, row.keep_history_days, row.version)


async def save_retention(tx: WriteTx, kept: Retention) -> None:
    """Store what administrators set, with its version."""
    values = {
        "keep_events_days": kept.keep_events_days,
        "keep_history_days": kept.keep_history_days,
        "version": kept.version,
    }
    done = await tx.connection.execute(update(retention).where(retention.c.id == _ONLY).values(**values))
    if done.rowcount == 0:
        await tx.connection.execute(insert(retention).values(id=_ONLY, **values))
