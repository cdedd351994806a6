"""Workers' heartbeats: one row for each worker, and one row that says since when workers have run without a gap.

A worker that stops cleanly deletes its own row. What a gap means is decided in `decide/missed.py`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.store.tables_managed import heartbeats, listening
from app.store.transactions import ReadTx, WriteTx

GAP = timedelta(minutes=1)  # workers update the row every five seconds
_ONLY, _TRIAL = 1, 2  # rows of `listening`


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A worker's last heartbeat: which transports it serves, and its metrics."""

    worker: str
    started_at: datetime
    at: datetime
    transports: tuple[str, ...]
    metrics: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Listening:
    """When a worker updated the row last, and when the last gap before that ended; None: there never was one."""

    at: datetime
    since: datetime | None


async def write_heartbeat(tx: WriteTx, heartbeat: Heartbeat) -> None:
    """Insert or update a worker's heartbeat."""
    values = {"at": heartbeat.at, "transports": list(heartbeat.transports), "metrics": heartbeat.metrics}
    updated = await tx.connection.execute(
        update(heartbeats).where(heartbeats.c.worker == heartbeat.worker).values(**values)
    )
    if updated.rowcount == 0:
        await tx.connection.execute(
            insert(heartbeats).values(worker=heartbeat.worker, started_at=heartbeat.started_at, **values)
        )


async def delete_heartbeat(tx: WriteTx, worker: str) -> None:
    """Delete the heartbeat of a worker that stops on purpose."""
    await tx.connection.execute(delete(heartbeats).where(heartbeats.c.worker == worker))


async def delete_old_heartbeats(tx: WriteTx, before: datetime) -> None:
    """Delete the heartbeats of workers that died long ago."""
    await tx.connection.execute(delete(heartbeats).where(heartbeats.c.at < before))


async def heartbeats_since(tx: ReadTx, moment: datetime) -> list[Heartbeat]:
    """Return the heartbeats since `moment`, newest first."""
    rows = await tx.connection.execute(
        select(heartbeats).where(heartbeats.c.at >= moment).order_by(heartbeats.c.at.desc())
    )
    return [Heartbeat(row.worker, row.started_at, row.at, tuple(row.transports), row.metrics) for row in rows]


async def database_time(tx: ReadTx) -> datetime:
    """Return the time of the database server."""
    moment: datetime = (await tx.connection.execute(select(func.now()))).scalar_one()
    return moment


async def note_listening(tx: WriteTx, now: datetime) -> None:
    """Note that a worker runs at `now`. If none did for a while, a gap has just ended."""
    found = await find_listening(tx, for_change=True)
    if found is None:
        await tx.connection.execute(insert(listening).values(id=_ONLY, at=now, since=None))
        return
    since = now if now - found.at > GAP else found.since
    change = update(listening).where(listening.c.id == _ONLY)
    await tx.connection.execute(change.values(at=max(now, found.at), since=since))


async def write_trial(tx: WriteTx, now: datetime) -> None:
    """Change a row that nothing reads, to see whether the database can be written."""
    changed = await tx.connection.execute(update(listening).where(listening.c.id == _TRIAL).values(at=now))
    if changed.rowcount == 0:
        insert_one = sqlite.insert if tx.is_sqlite else postgresql.insert
        await tx.connection.execute(insert_one(listening).values(id=_TRIAL, at=now).on_conflict_do_nothing())


async def find_listening(tx: ReadTx, *, for_change: bool = False) -> Listening | None:
    """Return what was noted, or None if no worker ever ran."""
    query = select(listening).where(listening.c.id == _ONLY)
    row = (await tx.connection.execute(query.with_for_update() if for_change else query)).one_or_none()
    return None if row is None else Listening(row.at, row.since)
