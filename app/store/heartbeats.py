"""Heartbeats: each worker's sign of life, what it serves and what it counted. A worker that stopped cleanly takes its own away."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from app.store.tables_managed import heartbeats
from app.store.transactions import ReadTx, WriteTx


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A worker's last sign of life."""

    worker: str
    started_at: datetime
    at: datetime
    transports: tuple[str, ...]
    metrics: list[dict[str, Any]]


async def beat(tx: WriteTx, heartbeat: Heartbeat) -> None:
    """Write a sign of life."""
    signs = {"at": heartbeat.at, "transports": list(heartbeat.transports), "metrics": heartbeat.metrics}
    known = await tx.connection.execute(
        update(heartbeats).where(heartbeats.c.worker == heartbeat.worker).values(**signs)
    )
    if known.rowcount == 0:
        await tx.connection.execute(
            insert(heartbeats).values(worker=heartbeat.worker, started_at=heartbeat.started_at, **signs)
        )


async def database_time(tx: ReadTx) -> datetime:
    """Give the database's own time."""
    moment: datetime = (await tx.connection.execute(select(func.now()))).scalar_one()
    return moment


async def end_heartbeat(tx: WriteTx, worker: str) -> None:
    """Take a worker's sign away: it stopped on purpose."""
    await tx.connection.execute(delete(heartbeats).where(heartbeats.c.worker == worker))


async def forget_silent(tx: WriteTx, before: datetime) -> None:
    """Take away the signs of workers that died long ago."""
    await tx.connection.execute(delete(heartbeats).where(heartbeats.c.at < before))


async def heartbeats_since(tx: ReadTx, moment: datetime) -> list[Heartbeat]:
    """Give the workers that showed life since `moment`, newest first."""
    rows = await tx.connection.execute(
        select(heartbeats).where(heartbeats.c.at >= moment).order_by(heartbeats.c.at.desc())
    )
    return [Heartbeat(row.worker, row.started_at, row.at, tuple(row.transports), row.metrics) for row in rows]
