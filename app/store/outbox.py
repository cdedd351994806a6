"""The outbox: messages not yet settled. The only file that leases them and that writes their state."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Select,
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
    update,
)

from app.core.ids import new_id
from app.domain.lease import Claim, Held, Leased
from app.domain.message import Bodies, Message, MessageState, Parcel, takes_json
from app.domain.relay import Relay
from app.store.tables import attempts, bodies, messages
from app.store.transactions import ReadTx, WriteTx

# As the partial index says it: SQLite uses one only when its condition stands word by word in the query.
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


async def insert_messages(tx: WriteTx, worded: Sequence[tuple[Message, Bodies]]) -> None:
    """Put newly worded messages into the outbox."""
    if not worded:
        return
    await tx.connection.execute(insert(messages), [_row(message) for message, _ in worded])
    finished = [{"message_id": message.id, "mail": one.mail, "webhook": one.webhook} for message, one in worded]
    await tx.connection.execute(insert(bodies), finished)


async def lease(
    tx: WriteTx, transport: str, limit: int, now: datetime, holder: str, until: datetime, relay: Relay | None = None
) -> list[Leased]:
    """Claim up to `limit` due messages of `transport` for `holder`, the most urgent and then the longest due first.

    With `relay`, only what it serves; from then on it is that relay's.

    Each call makes a new token; `settle` refuses an outdated one, so that a worker which was paused past its lease cannot
    overwrite the verdict of the one that took over.
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
        .where(true() if relay is None else served_by(relay))
        .order_by(messages.c.urgency, messages.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=messages)  # SQLite has one writer and ignores this
    )
    rows = (await tx.connection.execute(due)).all()
    if not rows:
        return []
    token = new_id("lse")
    whose = {"lease_token": token, "lease_until": until, "lease_holder": holder}
    claimed = {"state": MessageState.LEASED, **whose, **({} if relay is None else {"relay_id": relay.id})}
    await tx.connection.execute(update(messages).where(messages.c.id.in_([row.id for row in rows])).values(claimed))
    return [_leased(row, token, transport, until) for row in rows]


def _leased(row: Any, token: str, transport: str, until: datetime) -> Leased:  # noqa: ANN401
    parcel = Parcel(row.id, row.recipient_id, row.address, row.message_id, row.body or b"")
    return Leased(
        Claim(row.id, token), transport, parcel, until, row.attempts, row.created_at, row.is_alert, row.maybe_sent
    )


def served_by(relay: Relay) -> ColumnElement[bool]:
    """Say that a message is for a relay: it had it before, or nobody did and it is bound to its customer or recipient."""
    bound: ColumnElement[bool] = true()
    if relay.customers or relay.recipients:
        bound = or_(messages.c.customer_id.in_(relay.customers), messages.c.recipient_id.in_(relay.recipients))
    mine = or_(messages.c.relay_id == relay.id, and_(messages.c.relay_id.is_(None), bound))
    return func.coalesce(mine, false())  # SQL's third truth would keep a message of no customer from either side


async def lock(tx: WriteTx, ids: Collection[str]) -> dict[str, Held]:
    """Give these messages, and keep everybody else from changing them until the unit ends."""
    begun = (attempts.c.message_id == messages.c.id) & (attempts.c.token == messages.c.lease_token)
    wanted = (
        select(messages, attempts.c.id.label("attempt_id"), attempts.c.number)
        .join_from(messages, attempts, begun, isouter=True)
        .where(messages.c.id.in_(ids))
        .order_by(messages.c.id)  # always in one order: two units that lock the same rows must not wait for one another
        .with_for_update(of=messages)
    )
    rows = (await tx.connection.execute(wanted)).mappings()
    return {row["id"]: Held(_message_from(row), row["attempt_id"], row["number"]) for row in rows}


async def save(tx: WriteTx, changed: Sequence[Message]) -> None:
    """Write the state of messages that were locked in this unit; nothing else of a message ever changes."""
    if not changed:
        return
    names = (*_SETTLED, "move_on_at", "give_up_at")
    rows = [{"b_id": message.id, **{f"b_{name}": getattr(message, name) for name in names}} for message in changed]
    await tx.connection.execute(_SAVE, rows)


async def renew(tx: WriteTx, claims: Collection[Claim], until: datetime) -> frozenset[str]:
    """Prolong those leases that are still theirs; give the ids of these messages."""
    pairs = [(claim.message_id, claim.token) for claim in claims]
    prolong = (
        update(messages)
        .where(_LEASED, tuple_(messages.c.id, messages.c.lease_token).in_(pairs))
        .values(lease_until=until)
    )
    rows = await tx.connection.execute(prolong.returning(messages.c.id))
    return frozenset(rows.scalars())


async def unbegun_of(tx: ReadTx, holder: str) -> list[Claim]:
    """Give what a holder leased and has not begun."""
    begun = select(attempts.c.id).where(
        attempts.c.message_id == messages.c.id, attempts.c.token == messages.c.lease_token
    )
    theirs = _LEASED, messages.c.lease_holder == holder, ~begun.exists()
    rows = await tx.connection.execute(select(messages.c.id, messages.c.lease_token).where(*theirs))
    return [Claim(row.id, row.lease_token or "") for row in rows]


async def give_back(tx: WriteTx, claims: Collection[Claim]) -> int:
    """Put back what was leased and not begun; give how many. An attempt under way is left alone."""
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


async def lapsed(tx: WriteTx, now: datetime, limit: int, *, of_holders: str | None = None) -> list[str]:
    """Give the ids of leased messages whose lease ran out, or of every holder whose name begins with `of_holders`."""
    run_out = messages.c.lease_until <= now
    if of_holders is not None:
        run_out = or_(run_out, messages.c.lease_holder.startswith(of_holders, autoescape=True))
    return await _ids(tx, select(messages.c.id).where(_LEASED, run_out).order_by(messages.c.lease_until).limit(limit))


async def overdue(tx: WriteTx, now: datetime, limit: int) -> list[str]:
    """Give the ids of waiting messages that are too old, and of alerts that waited too long here; whether they can go elsewhere is not known."""
    may_move = messages.c.is_alert & (messages.c.move_on_at <= now)
    return await _ids(
        tx, select(messages.c.id).where(_WAITING, or_(messages.c.give_up_at <= now, may_move)).limit(limit)
    )


async def insert_successor(tx: WriteTx, new: Message, of: str) -> None:
    """Add `new`, which carries the very bytes of the message `of`."""
    given: dict[str, Any] = {name: literal(value, messages.c[name].type) for name, value in _row(new).items()}
    columns = list(messages.c)
    copied = select(*(given.get(column.name, column) for column in columns)).where(messages.c.id == of)
    await tx.connection.execute(insert(messages).from_select(columns, copied))
    same = select(literal(new.id), bodies.c.mail, bodies.c.webhook).where(bodies.c.message_id == of)
    await tx.connection.execute(insert(bodies).from_select(list(bodies.c), same))


async def kinds_of_body(tx: ReadTx, message_id: str) -> Bodies:
    """Say which bodies a message has, without reading them."""
    there = select(bodies.c.mail.is_not(None).label("mail"), bodies.c.webhook.is_not(None).label("webhook"))
    row = (await tx.connection.execute(there.where(bodies.c.message_id == message_id))).one()
    return Bodies(mail=b"" if row.mail else None, webhook=b"" if row.webhook else None)


async def find_message(tx: ReadTx, message_id: str) -> Message | None:
    """Give one message, without its bytes."""
    row = (await tx.connection.execute(select(messages).where(messages.c.id == message_id))).mappings().one_or_none()
    return None if row is None else _message_from(row)


async def _ids(tx: WriteTx, wanted: Select[Any]) -> list[str]:
    locked = wanted.with_for_update(skip_locked=True, of=messages)
    return list((await tx.connection.execute(locked)).scalars())


def _message_from(row: RowMapping) -> Message:
    return Message(
        **{name: row[name] for name in Message.__slots__ if name != "state"}, state=MessageState(row["state"])
    )


def _row(message: Message) -> dict[str, Any]:
    return {name: getattr(message, name) for name in Message.__slots__}
