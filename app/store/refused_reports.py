"""Refused reports in the database: one row for each agent, however much was refused."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import case, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from app.domain.refused_reports import COUNTED_FOR, RefusedReports
from app.store.tables import refused_reports
from app.store.transactions import ReadTx, WriteTx

_COLUMNS = tuple(column.name for column in refused_reports.c)


async def add_refused(tx: WriteTx, noted: Sequence[RefusedReports]) -> None:
    """Add what was refused since the last time."""
    insert = sqlite.insert if tx.is_sqlite else postgresql.insert
    # Sorted: two processes that write the same rows in different orders would deadlock.
    for one in sorted(noted, key=lambda it: it.agent_id):
        new = insert(refused_reports).values({name: getattr(one, name) for name in _COLUMNS})
        given, kept = new.excluded, refused_reports.c
        goes_on = kept.last_at >= one.since - COUNTED_FOR
        change = {
            "since": case((goes_on, kept.since), else_=given.since),
            "count": case((goes_on, kept.count), else_=0) + given.count,
            "last_at": given.last_at,
            "why": given.why,
        }
        await tx.connection.execute(new.on_conflict_do_update(index_elements=("agent_id",), set_=change))


async def refused_of(tx: ReadTx, agent_ids: Collection[str]) -> Mapping[str, RefusedReports]:
    """Return what was refused of these agents, by agent."""
    if not agent_ids:
        return {}
    found = await tx.connection.execute(select(refused_reports).where(refused_reports.c.agent_id.in_(agent_ids)))
    return {row.agent_id: RefusedReports(**{name: getattr(row, name) for name in _COLUMNS}) for row in found}


async def delete_old_refused(tx: WriteTx, before: datetime) -> None:
    """Delete what was refused last before a moment."""
    await tx.connection.execute(delete(refused_reports).where(refused_reports.c.last_at < before))
