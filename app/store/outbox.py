"""The outbox: messages that are not settled yet. Only this file writes the state of a message."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    and_,
    bindparam,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
    union,
    union_all,
    update,
)

from app.core.ids import new_id
from app.domain.lease import Claim, Held, Leased
from app.domain.message import Bodies, Message, MessageState, Parcel, takes_json
from app.domain.recipient import Address
from app.domain.relay import Relay
from app.store.tables import attempts, bodies, messages
from app.store.transactions import ReadTx, WriteTx

# Exactly the condition of the partial index: SQLite uses it only if the query repeats that condition word for word.
_WAITING = text("messages.state IN ('queued', 'unknown')")
_LEASED = text("messages.state = 'leased'")
_SETTLED = (
    "state",
    "due_at",
    "attempts",
    "lease_token",
    "lease_until",
    "lease_holder",
    "maybe_sent",
    "moved_to",
    "why",
    "settled_at",
)
_SAVE = (
    update(messages)
    .where(messages.c.id == bindparam("b_id"))
    .values(
        {name: bindparam(f"b_{name}", type_=messages.c[name].type) for name in (*_SETTLED, "move_on_at", "give_up_at")}
    )
)


async def insert_messages(tx: WriteTx, composed: Sequence[tuple[Message, Bodies]]) -> None:
    """Insert newly composed messages."""
    if not composed:
        return
    await tx.connection.execute(insert(messages), [_row(message) for message, _ in composed])
    rows = [{"message_id": message.id, "mail": body.mail, "webhook": body.webhook} for message, body in composed]
    await tx.connection.execute(insert(bodies), rows)


async def transports_with_due(tx: ReadTx, transports: Sequence[str], now: datetime) -> list[str]:
    """Return which of these transports have messages that are due."""
    if not transports:
        return []
    due = (_WAITING, messages.c.due_at <= now)
    asked = (
        select(literal(name).label("transport")).where(
            select(messages.c.id).where(messages.c.transport == name, *due).exists()
        )
        for name in transports
    )
    return list((await tx.connection.execute(union_all(*asked))).scalars())


async def lease(
    tx: WriteTx,
    transport: str,
    limit: int,
    now: datetime,
    holder: str,
    until: datetime,
    *,
    ids: Collection[str] | None = None,
    relay_id: str | None = None,
) -> list[Leased]:
    """Lease up to `limit` due messages of `transport` to `holder`: the most urgent first, then those that are due longest.

    With `ids`, only these. With `relay_id`, only this relay may lease them again.

    Each call creates a new token. `settle` refuses an outdated one, so that a worker that was suspended past its lease cannot
    overwrite the result of the worker that took over.
    """
    body = bodies.c.webhook if takes_json(transport) else bodies.c.mail
    due = (
        select(
            messages.c.id,
            messages.c.recipient_id,
            messages.c.address,
            messages.c.message_id,
            messages.c.attempts,
            messages.c.created_at,
            messages.c.is_alert,
            messages.c.maybe_sent,
            body.label("body"),
        )
        .join_from(messages, bodies, isouter=True)
        .where(_WAITING, messages.c.transport == transport, messages.c.due_at <= now)
        .where(true() if ids is None else messages.c.id.in_(ids))
        .order_by(messages.c.urgency, messages.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=messages)  # SQLite has one writer and ignores this
    )
    rows = (await tx.connection.execute(due)).all()
    if not rows:
        return []
    token = new_id("lse")
    lease_columns = {"lease_token": token, "lease_until": until, "lease_holder": holder}
    values = {"state": MessageState.LEASED, **lease_columns, **({} if relay_id is None else {"relay_id": relay_id})}
    await tx.connection.execute(update(messages).where(messages.c.id.in_([row.id for row in rows])).values(values))
    return [
        Leased(
            Claim(row.id, token),
            transport,
            Parcel(row.id, row.recipient_id, row.address, row.message_id, row.body or b""),
            until,
            row.attempts,
            row.created_at,
            row.is_alert,
            row.maybe_sent,
        )
        for row in rows
    ]


def served_by(relay: Relay) -> ColumnElement[bool]:
    """Return the condition for messages that a relay serves: it leased them before, or no relay did and its customers and recipients match."""
    bound: ColumnElement[bool] = true()
    if relay.customers or relay.recipients:
        bound = or_(messages.c.customer_id.in_(relay.customers), messages.c.recipient_id.in_(relay.recipients))
    mine = or_(messages.c.relay_id == relay.id, and_(messages.c.relay_id.is_(None), bound))
    return func.coalesce(
        mine, false()
    )  # NULL would hide a message without a customer from this condition and from its negation


async def lock(tx: WriteTx, ids: Collection[str]) -> dict[str, Held]:
    """Return these messages by id, locked until the transaction ends."""
    begun = (attempts.c.message_id == messages.c.id) & (attempts.c.token == messages.c.lease_token)
    query = (
        select(messages, attempts.c.id.label("attempt_id"), attempts.c.number)
        .join_from(messages, attempts, begun, isouter=True)
        .where(messages.c.id.in_(ids))
        .order_by(
            messages.c.id
        )  # always in id order: two transactions that lock the same rows in different orders would deadlock
        .with_for_update(of=messages)
    )
    rows = (await tx.connection.execute(query)).mappings()
    return {row["id"]: Held(_message_from(row), row["attempt_id"], row["number"]) for row in rows}


async def save(tx: WriteTx, changed: Sequence[Message]) -> None:
    """Write the state of messages that were locked in this transaction. Nothing else of a message changes."""
    if not changed:
        return
    names = (*_SETTLED, "move_on_at", "give_up_at")
    rows = [{"b_id": message.id, **{f"b_{name}": getattr(message, name) for name in names}} for message in changed]
    await tx.connection.execute(_SAVE, rows)


async def renew(tx: WriteTx, claims: Collection[Claim], until: datetime) -> frozenset[str]:
    """Prolong the leases that are still held; return the ids of these messages."""
    pairs = [(claim.message_id, claim.token) for claim in claims]
    prolong = (
        update(messages)
        .where(_LEASED, tuple_(messages.c.id, messages.c.lease_token).in_(pairs))
        .values(lease_until=until)
    )
    rows = await tx.connection.execute(prolong.returning(messages.c.id))
    return frozenset(rows.scalars())


async def claims_of(tx: ReadTx, holder: str, claims: Collection[Claim]) -> frozenset[Claim]:
    """Return which of these claims are or were the holder's: the lease is its, or it began an attempt under the token."""
    pairs = [(claim.message_id, claim.token) for claim in claims]
    if not pairs:
        return frozenset()
    leased = select(messages.c.id, messages.c.lease_token).where(
        messages.c.lease_holder == holder, tuple_(messages.c.id, messages.c.lease_token).in_(pairs)
    )
    begun = select(attempts.c.message_id, attempts.c.token).where(
        attempts.c.holder == holder, tuple_(attempts.c.message_id, attempts.c.token).in_(pairs)
    )
    return frozenset(Claim(*row) for row in await tx.connection.execute(union(leased, begun)))


async def unbegun_of(tx: ReadTx, holder: str) -> list[Claim]:
    """Return the claims of a holder under which no attempt was begun."""
    begun = select(attempts.c.id).where(
        attempts.c.message_id == messages.c.id, attempts.c.token == messages.c.lease_token
    )
    theirs = _LEASED, messages.c.lease_holder == holder, ~begun.exists()
    rows = await tx.connection.execute(select(messages.c.id, messages.c.lease_token).where(*theirs))
    return [Claim(row.id, row.lease_token or "") for row in rows]


async def give_back(tx: WriteTx, claims: Collection[Claim]) -> int:
    """Return messages that were leased and not begun to the queue; return how many. An attempt in progress is left alone."""
    pairs = [(claim.message_id, claim.token) for claim in claims]
    begun = (
        select(attempts.c.id)
        .where(attempts.c.message_id == messages.c.id, attempts.c.token == messages.c.lease_token)
        .exists()
    )
    back = (
        update(messages)
        .where(_LEASED, tuple_(messages.c.id, messages.c.lease_token).in_(pairs), ~begun)
        .values(state=MessageState.QUEUED, lease_token=None, lease_until=None, lease_holder=None)
    )
    return (await tx.connection.execute(back)).rowcount


async def expired(tx: WriteTx, now: datetime, limit: int, *, of_holders: str | None = None) -> list[str]:
    """Return the ids of messages whose lease has expired, and with `of_holders` also of all holders whose name begins with it."""
    ended = messages.c.lease_until <= now
    if of_holders is not None:
        ended = or_(ended, messages.c.lease_holder.startswith(of_holders, autoescape=True))
    wanted = select(messages.c.id).where(_LEASED, ended).order_by(messages.c.urgency, messages.c.lease_until)
    locked = wanted.limit(limit).with_for_update(skip_locked=True, of=messages)
    return list((await tx.connection.execute(locked)).scalars())


async def overdue(tx: ReadTx, now: datetime, limit: int) -> list[str]:
    """Return the ids of messages that are overdue, the most urgent first."""
    may_move = messages.c.is_alert & (messages.c.move_on_at <= now)
    found = select(messages.c.id).where(_WAITING, or_(messages.c.give_up_at <= now, may_move))
    return list((await tx.connection.execute(found.order_by(messages.c.urgency).limit(limit))).scalars())


def is_overdue(message: Message, now: datetime) -> bool:
    """Return whether a waiting message is too old, or an alert that waited too long for this transport, even if there is no other."""
    is_waiting = message.state in (MessageState.QUEUED, MessageState.UNKNOWN)
    return is_waiting and (message.give_up_at <= now or (message.is_alert and message.move_on_at <= now))


async def insert_successor(tx: WriteTx, new: Message, of: str) -> None:
    """Insert `new`, with a copy of the bytes of the message `of`."""
    changed: dict[str, Any] = {name: literal(value, messages.c[name].type) for name, value in _row(new).items()}
    columns = list(messages.c)
    copied = select(*(changed.get(column.name, column) for column in columns)).where(messages.c.id == of)
    await tx.connection.execute(insert(messages).from_select(columns, copied))
    same = select(literal(new.id), bodies.c.mail, bodies.c.webhook).where(bodies.c.message_id == of)
    await tx.connection.execute(insert(bodies).from_select(list(bodies.c), same))


async def kinds_of_body(tx: ReadTx, message_id: str) -> Bodies:
    """Return which bodies a message has, as empty bytes: the bodies themselves are not read."""
    there = select(bodies.c.mail.is_not(None).label("mail"), bodies.c.webhook.is_not(None).label("webhook"))
    row = (await tx.connection.execute(there.where(bodies.c.message_id == message_id))).one()
    return Bodies(mail=b"" if row.mail else None, webhook=b"" if row.webhook else None)


async def find_message(tx: ReadTx, message_id: str) -> Message | None:
    """Return one message, without its bytes."""
    row = (await tx.connection.execute(select(messages).where(messages.c.id == message_id))).mappings().one_or_none()
    return None if row is None else _message_from(row)


async def is_waiting_for(tx: ReadTx, recipient_id: str) -> bool:
    """Return whether a message to a recipient waits to be sent or is being sent."""
    waiting = messages.c.state.in_((MessageState.QUEUED, MessageState.LEASED, MessageState.UNKNOWN))
    query = select(messages.c.id).where(messages.c.recipient_id == recipient_id, waiting).limit(1)
    return (await tx.connection.execute(query)).first() is not None


async def readdress(tx: WriteTx, message_id: str, place: int, to: Address) -> None:
    """Set a message, which is locked in this transaction, to the recipient's transport at `place`; its bytes stay the same."""
    values = {"place": place, "transport": to.transport, "address": to.address}
    await tx.connection.execute(update(messages).where(messages.c.id == message_id).values(values))


def _message_from(row: RowMapping) -> Message:
    return Message(
        **{name: row[name] for name in Message.__slots__ if name != "state"}, state=MessageState(row["state"])
    )


def _row(message: Message) -> dict[str, Any]:
    return {name: getattr(message, name) for name in Message.__slots__}
