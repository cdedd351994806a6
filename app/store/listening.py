"""Since when workers have run without a gap: one row that they update. What a gap means is decided in `decide/missed.py`."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select, update

from app.store.tables_managed import listening
from app.store.transactions import ReadTx, WriteTx

GAP = timedelta(minutes=1)  # workers update the row every five seconds
_ONLY = 1


@dataclass(frozen=True, slots=True)
class Listening:
    """When a worker updated the row last, and when the last gap before that ended; None: there never was one."""

    at: datetime
    since: datetime | None


async def note_listening(tx: WriteTx, now: datetime) -> None:
    """Note that a worker runs at `now`. If none did for a while, a gap has just ended."""
    found = await find_listening(tx, for_change=True)
    if found is None:
        await tx.connection.execute(insert(listening).values(id=_ONLY, at=now, since=None))
        return
    since = now if now - found.at > GAP else found.since
    change = update(listening).where(listening.c.id == _ONLY)
    await tx.connection.execute(change.values(at=max(now, found.at), since=since))


async def find_listening(tx: ReadTx, *, for_change: bool = False) -> Listening | None:
    """Return what was noted, or None if no worker ever ran."""
    query = select(listening).where(listening.c.id == _ONLY)
    row = (await tx.connection.execute(query.with_for_update() if for_change else query)).one_or_none()
    return None if row is None else Listening(row.at, row.since)
