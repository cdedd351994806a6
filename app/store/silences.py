"""Silences in the database. What they mute is decided elsewhere."""

from datetime import datetime
from typing import Literal

from sqlalchemy import bindparam, case, literal, select, update

from app.domain.route import Silence
from app.store.prepared import Prepared
from app.store.repository import Page, Repository, Window, equals
from app.store.row_mapping import readable_values
from app.store.tables_managed import silences
from app.store.transactions import ReadTx, WriteTx
from app.store.types import Utc

SilenceState = Literal["current", "coming", "ended"]
SILENCES = Repository(
    silences,
    Silence,
    noun="silence",
    prefix="sil",
    edited=("customer_id", "matchers", "starts_at", "ends_at", "comment", "until_fixed"),
    newest_first=True,
)


_CURRENT = Prepared(
    lambda _: (
        select(*SILENCES.mapping.columns)
        .where(silences.c.ends_at > bindparam("now"), silences.c.starts_at <= bindparam("now"))
        .order_by(silences.c.id)
    )
)


async def page_silences(
    tx: ReadTx,
    window: Window,
    now: datetime,
    *,
    customer_id: str | None = None,
    created_by: str | None = None,
    state: SilenceState | None = None,
) -> Page[Silence]:
    """Return silences, newest first, filtered; `state` is as of `now`."""
    conditions = equals(silences, customer_id=customer_id, created_by=created_by)
    begun, ended = silences.c.starts_at <= now, silences.c.ends_at <= now
    match state:
        case "current":
            conditions += [begun, ~ended]
        case "coming":
            conditions += [~begun, ~ended]
        case "ended":
            conditions.append(ended)
        case None:
            pass
    return await SILENCES.page(tx, conditions, window)


async def current_silences(tx: ReadTx, now: datetime) -> list[Silence]:
    """Return the silences in force at `now`: begun, and not ended yet."""
    return readable_values(await tx.fetch(_CURRENT, now=now), SILENCES.mapping, "silence")


async def end_silence(tx: WriteTx, silence_id: str, at: datetime) -> bool:
    """End a silence at `at`; return False, and change nothing, if it has ended by then."""
    own = silences.c
    # One that has not begun must not end before its start.
    starts_at = case((own.starts_at > at, literal(at, Utc())), else_=own.starts_at)
    ended = update(silences).where(own.id == silence_id, own.ends_at > at)
    values = {"starts_at": starts_at, "ends_at": at, "version": own.version + 1}
    return (await tx.connection.execute(ended.values(**values))).rowcount > 0
