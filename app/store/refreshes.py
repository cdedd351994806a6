"""Messages that repeat all open alerts to a program that ends what it does not hear of again, and the alerts that they repeat.

Only the newest of a recipient is kept: they come every minute, and say nothing that the messages about the alerts do not say.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select

from app.core.ids import first_id_at
from app.domain.message import SETTLED_STATES
from app.domain.notice import NoticeState
from app.store.tables import alerts, attempts, bodies, messages, notices
from app.store.transactions import ReadTx, WriteTx

_KEPT_FOR = timedelta(hours=2)  # and looked for as long: never through the history of a recipient


@dataclass(frozen=True, slots=True)
class NewestRefresh:
    """When the newest one was made, and whether it waits to be sent or is being sent."""

    created_at: datetime
    is_settled: bool


async def open_alerts_of(tx: ReadTx, recipient_ids: Collection[str]) -> dict[str, list[str]]:
    """Return the ids of the open alerts that each of these recipients was notified of."""
    query = (
        select(notices.c.recipient_id, alerts.c.id)
        .distinct()
        .join_from(alerts, notices, notices.c.alert_id == alerts.c.id)
        .where(
            alerts.c.closed_at.is_(None),
            notices.c.state == NoticeState.WORDED,
            notices.c.recipient_id.in_(recipient_ids),
        )
    )
    found: dict[str, list[str]] = {}
    for recipient_id, alert_id in await tx.connection.execute(query.order_by(alerts.c.id)):
        found.setdefault(recipient_id, []).append(alert_id)
    return found


async def newest_refresh(tx: ReadTx, recipient_id: str, address: str, now: datetime) -> NewestRefresh | None:
    """Return the newest refresh of an address; None if there was none lately."""
    query = select(messages.c.created_at, messages.c.state).where(*_of(recipient_id, address, now))
    row = (await tx.connection.execute(query.order_by(messages.c.id.desc()).limit(1))).one_or_none()
    return None if row is None else NewestRefresh(row.created_at, row.state in SETTLED_STATES)


async def delete_refreshes(tx: WriteTx, recipient_id: str, address: str, now: datetime) -> None:
    """Delete the settled refreshes of an address, with their attempts."""
    query = select(messages.c.id).where(*_of(recipient_id, address, now), messages.c.state.in_(SETTLED_STATES))
    if ids := list((await tx.connection.execute(query)).scalars()):
        for table, column in (
            (attempts, attempts.c.message_id),
            (bodies, bodies.c.message_id),
            (messages, messages.c.id),
        ):
            await tx.connection.execute(delete(table).where(column.in_(ids)))


def _of(recipient_id: str, address: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        messages.c.recipient_id == recipient_id,
        messages.c.id >= first_id_at("msg", now - _KEPT_FOR),
        messages.c.address == address,
        messages.c.transport == "alertmanager",
        messages.c.is_alert.is_(False),
    )
