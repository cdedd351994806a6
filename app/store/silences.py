"""Silences as stored. It must not decide what they mute."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, select

from app.domain.route import Silence
from app.store.json_forms import matchers_of
from app.store.readable import readable
from app.store.records import Columns, Records
from app.store.tables_managed import silences
from app.store.transactions import ReadTx


def _is_in_state(columns: Columns, wanted: tuple[str, datetime]) -> ColumnElement[bool]:
    state, now = wanted
    if state == "coming":
        return and_(columns.starts_at > now, columns.ends_at > now)
    return columns.ends_at <= now if state == "ended" else and_(columns.starts_at <= now, columns.ends_at > now)


SILENCES = Records(silences, "sil", newest_first=True, filters={"state": _is_in_state})


async def current_silences(tx: ReadTx, now: datetime) -> list[Silence]:
    """Give the silences that hold at `now`: begun, and not yet ended."""
    holding = select(silences).where(silences.c.ends_at > now, silences.c.starts_at <= now).order_by(silences.c.id)
    return readable(await tx.connection.execute(holding), _silence_of, "silence")


def _silence_of(row: Row[Any]) -> Silence:
    return Silence(
        id=row.id,
        matchers=matchers_of(row.matchers),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        comment=row.comment,
        created_by=row.created_by,
        customer_id=row.customer_id,
    )
