"""The outbox: messages that are not settled yet, and the attempts to send them. Only this file and `outbox_at_once.py` write the state of a message.

An attempt is written before it starts and completed after it ended. Rows of attempts are never deleted singly.
"""

import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    false,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    text,
    true,
    tuple_,
    union,
    update,
)
from sqlalchemy.sql.base import Executable

from app.core.ids import new_id
from app.domain.attempt import Attempt, Evidence
from app.domain.lease import Claim, Held, Leased
from app.domain.message import KEEPS_STATES, Bodies, Message, MessageState, Parcel, takes_json
from app.domain.recipient import Address
from app.domain.relay import Relay
from app.store.prepared import Builder, Prepared, Values
from app.store.tables import attempts, bodies, messages
from app.store.transactions import ReadTx, WriteTx

# Exactly the condition of the partial index: SQLite uses it only if the query repeats that condition word for word.
_WAITING = text("messages.state IN ('queued', 'unknown')")
LEASED = text("messages.state = 'leased'")
_CHANGED = (
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
    "move_on_at",
    "give_up_at",
)
_SAVE = Prepared(
    lambda _: (
        update(messages)
        .where(messages.c.id == bindparam("of_id", type_=String))
        .values({name: bindparam(name) for name in _CHANGED})
    )
)
_INSERT = Prepared(lambda db: db.insert(messages).values({name: bindparam(name) for name in Message.__slots__}))
_INSERT_BODIES = Prepared(
    lambda db: db.insert(bodies).values({name: bindparam(name) for name in ("message_id", "mail", "webhook")})
)


def _build_transports_with_due(db: Builder) -> Executable:
    wanted = db.table("transports", name=String)
    due = select(messages.c.id).where(messages.c.transport == wanted.c.name, *_IS_DUE)
    return select(wanted.c.name).where(due.correlate(wanted).exists())


_IS_DUE = _WAITING, messages.c.due_at <= bindparam("now")
_TRANSPORTS_WITH_DUE = Prepared(_build_transports_with_due)


def _build_due(body: ColumnElement[bytes], only: bool, others: bool, db: Builder) -> Select[Any]:  # noqa: FBT001
    columns = (messages.c[name] for name in LEASED_COLUMNS)
    return (
        select(*columns, body)
        .join_from(messages, bodies, isouter=True)
        .where(*_IS_DUE, messages.c.transport == bindparam("transport"))
        .where(db.one_of(messages.c.id, "ids") if only else true())
        .where(not_(db.one_of(messages.c.address, "full")) if others else true())
        .order_by(messages.c.urgency, messages.c.due_at)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(skip_locked=True, of=messages)  # SQLite has one writer and ignores this
    )


def due_mails(db: Builder) -> Select[Any]:
    """Return the statement that locks the mails of a transport that are due, with `LEASED_COLUMNS` and `mail`."""
    return _build_due(bodies.c.mail, only=False, others=False, db=db)


# In the order in which `leased_of` takes them.
LEASED_COLUMNS = (
    "id",
    "recipient_id",
    "address",
    "message_id",
    "attempts",
    "created_at",
    "is_alert",
    "maybe_sent",
)
_ADDRESS = LEASED_COLUMNS.index("address")
_TURN = 0x7475  # the first half of the number of an advisory lock: nothing else uses it
# By whether the transport takes JSON, whether only some messages are asked for, and whether some addresses are left out.
_DUE = {
    (body is bodies.c.webhook, only, others): Prepared(partial(_build_due, body, only, others))
    for body in (bodies.c.mail, bodies.c.webhook)
    for only, others in ((False, False), (True, False), (False, True))
}


def _build_lease(names: Sequence[str], db: Builder) -> Executable:
    held: dict[str, Any] = {name: bindparam(name) for name in names}
    return update(messages).where(db.one_of(messages.c.id, "ids")).values(state=MessageState.LEASED, **held)


_LEASED_ADDRESSES = Prepared(
    lambda _: select(messages.c.address).where(LEASED, messages.c.transport == bindparam("transport", type_=String))
)
LEASE_COLUMNS = "lease_token", "lease_until", "lease_holder"
_LEASE = Prepared(partial(_build_lease, LEASE_COLUMNS))
_LEASE_TO_RELAY = Prepared(partial(_build_lease, (*LEASE_COLUMNS, "relay_id")))


def _build_lock(db: Builder) -> Select[Any]:
    begun = (attempts.c.message_id == messages.c.id) & (attempts.c.token == messages.c.lease_token)
    return (
        select(*(messages.c[name] for name in Message.__slots__), attempts.c.id, attempts.c.number)
        .join_from(messages, attempts, begun, isouter=True)
        .where(db.one_of(messages.c.id, "ids"))
        # Always in id order: two transactions that lock the same rows in different orders would deadlock.
        .order_by(messages.c.id)
        .with_for_update(of=messages)
    )


_LOCK = Prepared(_build_lock)
_STATE = Message.__slots__.index("state")


async def insert_messages(tx: WriteTx, composed: Sequence[tuple[Message, Bodies]]) -> None:
    """Insert newly composed messages."""
    await tx.change_each(_INSERT, [_row(message) for message, _ in composed])
    rows = [{"message_id": message.id, "mail": body.mail, "webhook": body.webhook} for message, body in composed]
    await tx.change_each(_INSERT_BODIES, rows)


async def transports_with_due(tx: ReadTx, transports: Sequence[str], now: datetime) -> list[str]:
    """Return which of these transports have messages that are due."""
    return [
        name for (name,) in await tx.fetch(_TRANSPORTS_WITH_DUE, transports=[(one,) for one in transports], now=now)
    ]


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
    due = _DUE[takes_json(transport), ids is not None, False]
    only = {} if ids is None else {"ids": list(ids)}
    rows = await tx.fetch(due, now=now, transport=transport, limit=limit, **only)
    return await _lease_rows(tx, rows, transport, holder, until, relay_id)


async def lease_fairly(
    tx: WriteTx,
    transport: str,
    limit: int,
    now: datetime,
    holder: str,
    until: datetime,
    *,
    per_address: int,
    busy: Mapping[str, int],
) -> list[Leased]:
    """Lease as `lease` does, but no more than `per_address` to one address, of which `busy` are being sent already.

    Otherwise one address that never answers would take all places, and the messages to all others would wait for its time-outs.
    Where a program keeps the state of alerts it is one, whichever worker sends it: an opening that its end overtook would stay open there for ever.
    """
    taken = Counter(busy)
    if transport in KEEPS_STATES:
        if not tx.is_sqlite:  # two workers that ask at the same moment would not see what the other one leases
            await tx.connection.execute(select(func.pg_advisory_xact_lock(_TURN, zlib.crc32(transport.encode()) >> 1)))
        taken, per_address = Counter(one for (one,) in await tx.fetch(_LEASED_ADDRESSES, transport=transport)), 1
    leased: list[Leased] = []
    while len(leased) < limit:
        full = [address for address, count in taken.items() if count >= per_address]
        due = _DUE[takes_json(transport), False, bool(full)]
        wanted = limit - len(leased)
        rows = await tx.fetch(due, now=now, transport=transport, limit=wanted, **({"full": full} if full else {}))
        kept = []
        for row in rows:
            taken[row[_ADDRESS]] += 1
            if taken[row[_ADDRESS]] <= per_address:
                kept.append(row)
        leased += await _lease_rows(tx, kept, transport, holder, until, None)
        if len(kept) == len(rows):
            break
    return leased


async def _lease_rows(
    tx: WriteTx, rows: Sequence[Values], transport: str, holder: str, until: datetime, relay_id: str | None
) -> list[Leased]:
    if not rows:
        return []
    token = new_id("lse")
    held = {"ids": [row[0] for row in rows], "lease_token": token, "lease_until": until, "lease_holder": holder}
    if relay_id is None:
        await tx.change(_LEASE, **held)
    else:
        await tx.change(_LEASE_TO_RELAY, **held, relay_id=relay_id)
    return leased_of(rows, transport, token, until)


def leased_of(rows: Sequence[Values], transport: str, token: str, until: datetime) -> list[Leased]:
    """Return what rows of `LEASED_COLUMNS` and a body hold, with their lease."""
    leased = []
    for message_id, recipient_id, address, header, tries, created_at, is_alert, maybe_sent, body in rows:
        parcel = Parcel(message_id, recipient_id, address, header, body or b"")
        claim = Claim(message_id, token)
        leased.append(Leased(claim, transport, parcel, until, tries, created_at, is_alert, maybe_sent))
    return leased


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
    if not ids:
        return {}
    found = {}
    for *values, attempt_id, number in await tx.fetch(_LOCK, ids=list(ids)):
        values[_STATE] = MessageState(values[_STATE])
        found[values[0]] = Held(Message(*values), attempt_id, number)
    return found


async def save(tx: WriteTx, changed: Sequence[Message]) -> None:
    """Write the state of messages that were locked in this transaction. Nothing else of a message changes."""
    rows = [{"of_id": message.id, **{name: getattr(message, name) for name in _CHANGED}} for message in changed]
    await tx.change_each(_SAVE, rows)


async def renew(tx: WriteTx, claims: Collection[Claim], until: datetime) -> frozenset[str]:
    """Prolong the leases that are still held; return the ids of these messages."""
    pairs = [(claim.message_id, claim.token) for claim in claims]
    prolong = (
        update(messages)
        .where(LEASED, tuple_(messages.c.id, messages.c.lease_token).in_(pairs))
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
    theirs = LEASED, messages.c.lease_holder == holder, ~begun.exists()
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
        .where(LEASED, tuple_(messages.c.id, messages.c.lease_token).in_(pairs), ~begun)
        .values(state=MessageState.QUEUED, lease_token=None, lease_until=None, lease_holder=None)
    )
    return (await tx.connection.execute(back)).rowcount


async def expired(tx: WriteTx, now: datetime, limit: int, *, of_holders: str | None = None) -> list[str]:
    """Return the ids of messages whose lease has expired, and with `of_holders` also of all holders whose name begins with it."""
    ended = messages.c.lease_until <= now
    if of_holders is not None:
        ended = or_(ended, messages.c.lease_holder.startswith(of_holders, autoescape=True))
    wanted = select(messages.c.id).where(LEASED, ended).order_by(messages.c.urgency, messages.c.lease_until)
    locked = wanted.limit(limit).with_for_update(skip_locked=True, of=messages)
    return list((await tx.connection.execute(locked)).scalars())


async def lease_holders(tx: ReadTx) -> list[str]:
    """Return who holds leases."""
    holders = await tx.connection.scalars(select(messages.c.lease_holder).where(LEASED).distinct())
    return [holder for holder in holders if holder is not None]


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
    if row is None:
        return None
    kept = {name: row[name] for name in Message.__slots__ if name != "state"}
    return Message(**kept, state=MessageState(row["state"]))


async def is_waiting_for(tx: ReadTx, recipient_id: str) -> bool:
    """Return whether a message to a recipient waits to be sent or is being sent."""
    waiting = messages.c.state.in_((MessageState.QUEUED, MessageState.LEASED, MessageState.UNKNOWN))
    query = select(messages.c.id).where(messages.c.recipient_id == recipient_id, waiting).limit(1)
    return (await tx.connection.execute(query)).first() is not None


async def readdress(tx: WriteTx, message_id: str, place: int, to: Address) -> None:
    """Set a message, which is locked in this transaction, to the recipient's transport at `place`; its bytes stay the same."""
    values = {"place": place, "transport": to.transport, "address": to.address}
    await tx.connection.execute(update(messages).where(messages.c.id == message_id).values(values))


def _row(message: Message) -> dict[str, Any]:
    return {name: getattr(message, name) for name in Message.__slots__}


_INSERT_ATTEMPTS = Prepared(
    lambda db: db.insert(attempts).values({name: bindparam(name) for name in Attempt.__slots__})
)
_END_ATTEMPTS = Prepared(
    lambda _: (
        update(attempts)
        .where(attempts.c.id == bindparam("of_id", type_=String))
        .values({name: bindparam(name) for name in ("ended_at", "outcome", "code", "text", "evidence")})
    )
)


async def insert_attempts(tx: WriteTx, begun: Sequence[Attempt]) -> None:
    """Insert attempts that are about to start, or that a relay made earlier and reports now."""
    await tx.change_each(
        _INSERT_ATTEMPTS, [{name: getattr(attempt, name) for name in Attempt.__slots__} for attempt in begun]
    )


class EndedAttempt(NamedTuple):
    """How an attempt ended. `outcome` and `ended_at` are None while only its state so far is known."""

    id: str
    ended_at: datetime | None
    outcome: str | None
    code: str
    text: str
    evidence: Evidence | None = None


async def end_attempts(tx: WriteTx, ended: Sequence[EndedAttempt]) -> None:
    """Write how attempts ended."""
    names = ("of_id", "ended_at", "outcome", "code", "text", "evidence")
    await tx.change_each(_END_ATTEMPTS, [dict(zip(names, values, strict=True)) for values in ended])


async def attempt_under(tx: ReadTx, message_id: str, token: str) -> Attempt | None:
    """Return the attempt that was begun under this lease token."""
    query = select(attempts).where(attempts.c.message_id == message_id, attempts.c.token == token)
    row = (await tx.connection.execute(query)).mappings().one_or_none()
    return None if row is None else Attempt(**row)


async def attempts_of(tx: ReadTx, message_id: str) -> list[Attempt]:
    """Return a message's attempts, oldest first."""
    rows = await tx.connection.execute(
        select(attempts).where(attempts.c.message_id == message_id).order_by(attempts.c.number)
    )
    return [Attempt(**row) for row in rows.mappings()]


async def count_unknown(tx: ReadTx, message_id: str) -> int:
    """Count the attempts at a message that ended unknown."""
    query = select(func.count()).where(attempts.c.message_id == message_id, attempts.c.outcome == "unknown")
    return int((await tx.connection.execute(query)).scalar_one())


async def latest_by_transport(tx: ReadTx, among: int = 200) -> dict[str, Attempt]:
    """Return each transport's newest ended attempt, among the newest `among` attempts of all; ids sort by time."""
    newest = select(attempts).order_by(attempts.c.id.desc()).limit(among).subquery()
    query = (
        select(messages.c.transport, newest)
        .join_from(newest, messages, messages.c.id == newest.c.message_id)
        .where(newest.c.ended_at.is_not(None))
        .order_by(newest.c.id)
    )
    rows = (await tx.connection.execute(query)).mappings()
    return {row["transport"]: Attempt(**{name: row[name] for name in Attempt.__slots__}) for row in rows}
