"""Alerts: opened once, repeated, closed. What a mail tells of them is in `alert_story.py`."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, update

from app.domain.alert import Alert
from app.store.mapping import alert_from
from app.store.tables import alerts
from app.store.transactions import ReadTx, WriteTx

STORED = tuple(name for name in Alert.__slots__ if name != "facts")


async def open_alerts(tx: ReadTx, subject_ids: Iterable[str]) -> dict[str, list[Alert]]:
    """Give open alerts by subject (job or agent)."""
    rows = await tx.connection.execute(
        select(alerts).where(alerts.c.subject_id.in_(set(subject_ids)), alerts.c.closed_at.is_(None))
    )
    found: dict[str, list[Alert]] = {}
    for row in rows:
        found.setdefault(row.subject_id, []).append(alert_from(row))
    return found


async def lock_alerts(tx: WriteTx, ids: Iterable[str]) -> dict[str, Alert]:
    """Give alerts by id, and keep them from being closed meanwhile: "still failing" must not be said of what recovered."""
    rows = await tx.connection.execute(
        select(alerts).where(alerts.c.id.in_(set(ids))).order_by(alerts.c.id).with_for_update()
    )
    return {row.id: alert_from(row) for row in rows}


async def insert_alerts(tx: WriteTx, opened: Sequence[Alert]) -> None:
    """Store opened alerts. The partial unique index keeps a subject from having two open ones of a kind."""
    if opened:
        await tx.connection.execute(
            alerts.insert(), [{name: getattr(alert, name) for name in STORED} for alert in opened]
        )


async def save_repeats(tx: WriteTx, repeated: Sequence[Alert]) -> None:
    """Keep what was seen again."""
    names = ("repeats", "last_at", "message", "event_id", "severity")
    await _update(tx, [{"of_id": a.id, **{"new_" + n: getattr(a, n) for n in names}} for a in repeated], names)


async def close_alerts(tx: WriteTx, closed: Sequence[tuple[Alert, str]], now: datetime) -> None:
    """Close alerts with the reason of each."""
    names = ("closed_at", "closed_reason")
    await _update(
        tx, [{"of_id": a.id, "new_closed_at": now, "new_closed_reason": reason} for a, reason in closed], names
    )


async def _update(tx: WriteTx, rows: list[dict[str, Any]], names: tuple[str, ...]) -> None:
    if rows:
        change = (
            update(alerts)
            .where(alerts.c.id == bindparam("of_id"))
            .values({name: bindparam("new_" + name) for name in names})
        )
        await tx.connection.execute(change, rows)
