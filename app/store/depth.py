"""How much lies where, counted for /metrics and /readyz. Each count reads one small partial index, never history."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text, union_all

from app.store.tables import alerts, events, messages
from app.store.transactions import ReadTx
from app.store.types import EPOCH

DEAD_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Depth:
    """Messages of one transport in one state that is not the end, and when the oldest of them was worded."""

    transport: str
    state: str
    messages: int
    oldest_at: datetime


async def outbox_depth(tx: ReadTx) -> list[Depth]:
    """Count what is on its way: queued, unknown (to be sent again) and leased."""
    counted = [
        select(
            messages.c.transport,
            messages.c.state,
            func.count().label("number"),
            func.min(messages.c.created_at).label("oldest"),
        )
        .where(text(condition))
        .group_by(messages.c.transport, messages.c.state)
        for condition in ("messages.state IN ('queued', 'unknown')", "messages.state = 'leased'")
    ]
    rows = await tx.connection.execute(union_all(*counted))
    return [Depth(row.transport, row.state, row.number, row.oldest) for row in rows]


async def dead_messages(tx: ReadTx, since: datetime | None = None) -> dict[str, int]:
    """Count messages that were given up (since a moment), by transport; only the newest DEAD_MOST are looked at."""
    dead = select(messages.c.transport).where(
        text("messages.state = 'dead'"), messages.c.settled_at >= (since or EPOCH)
    )
    dead = dead.order_by(messages.c.settled_at.desc()).limit(DEAD_MOST)
    newest = dead.subquery()
    rows = await tx.connection.execute(select(newest.c.transport, func.count()).group_by(newest.c.transport))
    return {row[0]: row[1] for row in rows}


async def open_alerts(tx: ReadTx) -> dict[str, int]:
    """Count open alerts by kind."""
    rows = await tx.connection.execute(
        select(alerts.c.kind, func.count()).where(alerts.c.closed_at.is_(None)).group_by(alerts.c.kind)
    )
    return {row[0]: row[1] for row in rows}


async def undecided_since(tx: ReadTx) -> datetime | None:
    """Give when the oldest event came in that was not judged yet."""
    oldest = select(events.c.received_at).where(text("events.state = 'new'")).order_by(events.c.id).limit(1)
    found: datetime | None = await tx.connection.scalar(oldest)
    return found
