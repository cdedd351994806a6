"""Relays in the database: what administrators set, what each relay last reported, and the one-time codes that set one up."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, delete, func, insert, literal, not_, or_, select, text, update

from app.domain.relay import Relay
from app.domain.setup_code import SetupCode
from app.store.outbox import served_by
from app.store.prepared import Prepared
from app.store.repository import Page, Repository, Window, equals
from app.store.row_mapping import readable_values
from app.store.tables import attempts, bodies, messages
from app.store.tables_managed import keys, recipients, relays, setup_codes
from app.store.transactions import ReadTx, WriteTx

RELAYS = Repository(
    relays,
    Relay,
    noun="relay",
    prefix="rly",
    edited=("customer_id", "name", "customers", "recipients", "silent_after_s", "oldest_after_s", "test_address"),
    renamed={"heartbeat": "said"},
)
_WAITING = text("messages.state IN ('queued', 'unknown')")


async def page_relays(
    tx: ReadTx, window: Window, *, customer_id: str | None = None, name: str | None = None
) -> Page[Relay]:
    """Return relays in the order of their ids, filtered by customer and name."""
    return await RELAYS.page(tx, equals(relays, customer_id=customer_id, name=name), window)


_ALL = Prepared(lambda _: select(*RELAYS.mapping.columns).order_by(relays.c.id))


async def all_relays(tx: ReadTx) -> list[Relay]:
    """Return every relay; there are few."""
    return readable_values(await tx.fetch(_ALL), RELAYS.mapping, "relay")


async def oldest_for(tx: ReadTx, relay: Relay) -> datetime | None:
    """Return when the oldest message that waits for a relay was created. What may have been sent waits only for a receipt, and does not count."""
    waiting = _WAITING, messages.c.transport == "mapi", messages.c.maybe_sent.is_(False), served_by(relay)
    oldest: datetime | None = await tx.connection.scalar(select(func.min(messages.c.created_at)).where(*waiting))
    return oldest


async def sending_since(tx: ReadTx, holder: str) -> datetime | None:
    """Return when the attempt began that a relay makes now. One in doubt, of which it reported that it looks for it, does not count."""
    held = and_(attempts.c.message_id == messages.c.id, attempts.c.token == messages.c.lease_token)
    theirs = messages.c.lease_holder == holder, attempts.c.ended_at.is_(None), attempts.c.text.is_(None)
    query = select(func.min(attempts.c.started_at)).join_from(messages, attempts, held)
    since: datetime | None = await tx.connection.scalar(query.where(text("messages.state = 'leased'"), *theirs))
    return since


async def has_sent_after(tx: ReadTx, holder: str, started_at: datetime) -> bool:
    """Return whether a relay sent a message whose attempt began after this time."""
    later = attempts.c.holder == holder, attempts.c.started_at > started_at, attempts.c.outcome == "sent"
    return (await tx.connection.execute(select(attempts.c.id).where(*later).limit(1))).first() is not None


async def due_for(
    tx: ReadTx,
    relay: Relay,
    fit: Collection[Relay],
    most_bytes: int,
    limit: int,
    now: datetime,
    *,
    only_without_other_way: bool = False,
) -> list[tuple[str, int]]:
    """Return the ids of due messages that a relay may lease, with the size of each; those to send first are first.

    What reports its own trouble it gets only if neither another relay, one of `fit`, nor another transport can send it.
    """
    alone = _has_no_other_way(tx, relay, fit)
    is_about_another = or_(messages.c.about_relay_id.is_(None), messages.c.about_relay_id != relay.id)
    size = func.coalesce(func.length(bodies.c.mail), 0)
    due = (
        select(messages.c.id, size.label("size"))
        .join_from(messages, bodies, isouter=True)
        .where(_WAITING, messages.c.transport == "mapi", messages.c.due_at <= now, served_by(relay))
        .where(alone if only_without_other_way else or_(is_about_another, alone), size <= most_bytes)
        .order_by(messages.c.urgency, messages.c.due_at)
        .limit(limit)
    )
    return [(row.id, row.size) for row in await tx.connection.execute(due)]


def _has_no_other_way(tx: ReadTx, relay: Relay, fit: Collection[Relay]) -> ColumnElement[bool]:
    """Return the condition for messages that neither another relay, one of `fit`, nor another transport can send.

    `move_on_at` at its end marks those for which none was found although the recipient has more than one.
    """
    length = func.json_array_length if tx.is_sqlite else func.jsonb_array_length
    more = select(recipients.c.id).where(
        recipients.c.id == messages.c.recipient_id, length(recipients.c.transports) > messages.c.place + 1
    )
    unserved = [not_(served_by(other)) for other in fit if other.id != relay.id]
    return and_(or_(messages.c.move_on_at >= messages.c.give_up_at, ~more.exists()), *unserved)


async def too_large(tx: ReadTx, most: int, limit: int) -> list[str]:
    """Return the ids of waiting messages of more than `most` bytes, which no relay takes."""
    found = (
        select(messages.c.id)
        .join_from(messages, bodies)
        .where(_WAITING, messages.c.transport == "mapi", func.length(bodies.c.mail) > most)
        .limit(limit)
    )
    return list((await tx.connection.execute(found)).scalars())


async def waiting_for(tx: ReadTx, relay: Relay) -> int:
    """Return how many messages wait for a relay."""
    waiting = _WAITING, messages.c.transport == "mapi", served_by(relay)
    return int(await tx.connection.scalar(select(func.count()).where(*waiting).select_from(messages)) or 0)


async def stranded(tx: ReadTx, fit: list[Relay], limit: int) -> list[str]:
    """Return the ids of waiting messages that no fit relay serves, while their recipient has more transports.

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
        .order_by(messages.c.urgency, messages.c.id)
        .limit(limit)
    )
    return list((await tx.connection.execute(found)).scalars())


async def bound_to(tx: ReadTx, unfit_ids: Collection[str], known_ids: Collection[str], limit: int) -> list[str]:
    """Return the ids of messages that certainly never left an unfit relay, so that another one may send them. Tests of a relay stay with it.

    From a relay that was deleted, not among `known_ids`, no receipt will come: an alert that it may have sent is sent again, too.
    """
    never_left = messages.c.maybe_sent.is_(False)
    of_unfit = and_(messages.c.relay_id.in_(unfit_ids), never_left)
    of_deleted = and_(messages.c.relay_id.not_in(known_ids), or_(never_left, messages.c.is_alert))
    waiting = _WAITING, messages.c.transport == "mapi", messages.c.recipient_id != messages.c.relay_id
    found = select(messages.c.id).where(*waiting, or_(of_unfit, of_deleted)).order_by(messages.c.urgency).limit(limit)
    return list((await tx.connection.execute(found)).scalars())


async def set_free(tx: WriteTx, ids: Collection[str], now: datetime) -> None:
    """Let any relay send these messages at once, if they still wait."""
    if ids:
        due_at = case((messages.c.due_at > now, literal(now, messages.c.due_at.type)), else_=messages.c.due_at)
        freed = update(messages).where(_WAITING, messages.c.id.in_(sorted(ids)))
        await tx.connection.execute(freed.values(relay_id=None, due_at=due_at))


async def revoke_keys_of_relay(tx: WriteTx, relay_id: str, at: datetime) -> None:
    """Revoke the keys of a relay and detach them, so that it can be deleted."""
    its = keys.c.relay_id == relay_id
    await tx.connection.execute(update(keys).where(its, keys.c.revoked_at.is_(None)).values(revoked_at=at))
    await tx.connection.execute(update(keys).where(its).values(relay_id=None))


async def put_setup_code(tx: WriteTx, code: SetupCode) -> None:
    """Store a code; it replaces the relay's earlier one."""
    await delete_setup_code(tx, code.relay_id)
    await tx.connection.execute(insert(setup_codes).values(**asdict(code)))


async def find_setup_code(tx: WriteTx, name: str) -> SetupCode | None:
    """Return a code by its name, locked until the commit: it must not be exchanged twice."""
    row = (await tx.connection.execute(select(setup_codes).where(setup_codes.c.name == name).with_for_update())).first()
    return None if row is None else SetupCode(row.relay_id, row.name, row.hash, row.expires_at, row.tries_left)


async def count_failed_try(tx: WriteTx, relay_id: str) -> None:
    """Take one try away from a relay's code."""
    counted = update(setup_codes).where(setup_codes.c.relay_id == relay_id, setup_codes.c.tries_left > 0)
    await tx.connection.execute(counted.values(tries_left=setup_codes.c.tries_left - 1))


async def delete_setup_code(tx: WriteTx, relay_id: str) -> None:
    """Delete a relay's code, used or not."""
    await tx.connection.execute(delete(setup_codes).where(setup_codes.c.relay_id == relay_id))
