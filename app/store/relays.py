"""Relays as stored: what administrators set, and what each relay last said of itself."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, func, not_, or_, select, text, update

from app.domain.relay import Relay
from app.store.outbox import served_by
from app.store.readable import readable
from app.store.records import Records
from app.store.tables import messages
from app.store.tables_managed import keys, recipients, relays
from app.store.transactions import ReadTx, WriteTx

RELAYS = Records(relays, "rly")
_WAITING = text("messages.state IN ('queued', 'unknown')")


async def all_relays(tx: ReadTx) -> list[Relay]:
    """Give every relay; there are few."""
    return readable(await tx.connection.execute(select(relays).order_by(relays.c.id)), _relay_of, "relay")


async def find_relay(tx: ReadTx, relay_id: str, *, for_change: bool = False) -> Relay | None:
    """Give one relay, locked until the commit when it is to be changed."""
    query = select(relays).where(relays.c.id == relay_id)
    row = (await tx.connection.execute(query.with_for_update() if for_change else query)).one_or_none()
    return None if row is None else _relay_of(row)


async def note_relay(tx: WriteTx, relay_id: str, values: Mapping[str, Any]) -> None:
    """Write what became of a relay. No edit: its version stays."""
    await tx.connection.execute(update(relays).where(relays.c.id == relay_id).values(**values))


async def oldest_for(tx: ReadTx, relay: Relay) -> datetime | None:
    """Say since when the oldest message waits for a relay. What may have left already waits only for its word, and does not count."""
    waiting = _WAITING, messages.c.transport == "mapi", messages.c.maybe_sent.is_(False), served_by(relay)
    oldest: datetime | None = await tx.connection.scalar(select(func.min(messages.c.created_at)).where(*waiting))
    return oldest


async def is_due_for(tx: ReadTx, relay: Relay, now: datetime) -> bool:
    """Say whether a message may be leased by a relay now."""
    due = _WAITING, messages.c.transport == "mapi", messages.c.due_at <= now, served_by(relay)
    return (await tx.connection.execute(select(messages.c.id).where(*due).limit(1))).first() is not None


async def waiting_for(tx: ReadTx, relay: Relay) -> int:
    """Count the messages that wait for a relay."""
    waiting = _WAITING, messages.c.transport == "mapi", served_by(relay)
    return int(await tx.connection.scalar(select(func.count()).where(*waiting).select_from(messages)) or 0)


async def stranded(tx: WriteTx, fit: list[Relay], limit: int) -> list[str]:
    """Give the ids of waiting messages that no fit relay serves, while their recipient has more transports.

    `move_on_at` at its end marks those that were found to have nowhere to go. What may have been sent is moved only if it is an alert.
    """
    length = func.json_array_length if tx.is_sqlite else func.jsonb_array_length
    unserved = [not_(served_by(relay)) for relay in fit]
    found = (
        select(messages.c.id)
        .join_from(messages, recipients, recipients.c.id == messages.c.recipient_id)
        .where(_WAITING, messages.c.transport == "mapi", messages.c.move_on_at < messages.c.give_up_at)
        .where(or_(messages.c.is_alert, messages.c.maybe_sent.is_(False)), *unserved)
        .where(length(recipients.c.transports) > messages.c.place + 1)
        .order_by(messages.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=messages)
    )
    return list((await tx.connection.execute(found)).scalars())


async def set_free(tx: WriteTx, unfit_ids: Collection[str], known_ids: Collection[str]) -> int:
    """Let what surely never left an unfit relay be sent by another one; give how many. A test of a relay proves nothing by another.

    Of a relay that was deleted, not among `known_ids`, no word comes any more: an alert that may have left it goes again, too.
    """
    never_left = messages.c.maybe_sent.is_(False)
    of_unfit = and_(messages.c.relay_id.in_(unfit_ids), never_left)
    of_deleted = and_(messages.c.relay_id.not_in(known_ids), or_(never_left, messages.c.is_alert))
    waiting = _WAITING, messages.c.transport == "mapi", messages.c.recipient_id != messages.c.relay_id
    freed = update(messages).where(*waiting, or_(of_unfit, of_deleted)).values(relay_id=None)
    return (await tx.connection.execute(freed)).rowcount


async def revoke_keys_of_relay(tx: WriteTx, relay_id: str, at: datetime) -> None:
    """End its keys and cut them from it, so that it can be deleted."""
    its = keys.c.relay_id == relay_id
    await tx.connection.execute(update(keys).where(its, keys.c.revoked_at.is_(None)).values(revoked_at=at))
    await tx.connection.execute(update(keys).where(its).values(relay_id=None))


def _relay_of(row: Row[Any]) -> Relay:
    return Relay(
        id=row.id,
        customer_id=row.customer_id,
        name=row.name,
        created_at=row.created_at,
        customers=tuple(row.customers),
        recipients=tuple(row.recipients),
        silent_after=timedelta(seconds=row.silent_after_s),
        oldest_after=timedelta(seconds=row.oldest_after_s),
        paused_at=row.paused_at,
        paused_why=row.paused_why,
        doctor_asked_at=row.doctor_asked_at,
        seen_at=row.seen_at,
        heartbeat=row.said,
        stuck_at=row.stuck_at,
        stuck_why=row.stuck_why,
        trouble=row.trouble,
        trouble_at=row.trouble_at,
    )
