"""What administrators do to messages: queue dead or bounced ones again."""

from dataclasses import dataclass, replace
from datetime import timedelta

from app.admin.audit import note
from app.admin.editing import Editor
from app.core.errors import Conflict, NotFound
from app.domain.lease import Held
from app.domain.message import Message, MessageState, takes_summaries
from app.domain.recipient import Address, shown_address
from app.store import messages as message_lists
from app.store import outbox
from app.store.outbox import readdress
from app.store.routing import recipients_by_id
from app.store.transactions import Database, WriteTx

AT_ONCE = 200
_TOGETHER = 10  # in one transaction


@dataclass(frozen=True, slots=True)
class DeadMessages:
    """Which dead messages are meant. `cause` is the code of their last attempt. `before`: only those that are older than this id."""

    transport: str | None = None
    cause: str | None = None
    recipient_id: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Retried:
    """How many messages were queued again, how many nobody can send, and the id to continue `before`; None: those were all."""

    retried: int
    refused: int
    next: str | None


async def retry_messages(
    database: Database, meant: DeadMessages, retry_for: timedelta, patience: timedelta, by: Editor
) -> Retried:
    """Queue dead messages again, the newest first and at most AT_ONCE, each as `retry_message` does.

    Called again, it finds only those that died since, and those that were refused. A few share a transaction, so that nobody who
    writes waits long.
    """
    retried = refused = 0
    before = meant.before
    for _ in range(AT_ONCE // _TOGETHER):
        async with database.write() as tx:
            done = await _retry_some(tx, replace(meant, before=before), retry_for, patience, by)
        retried, refused, before = retried + done.retried, refused + done.refused, done.next
        if before is None:
            break
    return Retried(retried, refused, before)


async def _retry_some(
    tx: WriteTx, meant: DeadMessages, retry_for: timedelta, patience: timedelta, by: Editor
) -> Retried:
    found = await message_lists.dead_ids(
        tx, meant.transport, meant.cause, meant.recipient_id, before=meant.before, limit=_TOGETHER
    )
    locked = await outbox.lock(tx, found)
    refused = 0
    for message_id in found:
        held = locked[message_id]
        if held.message.state is not MessageState.DEAD:  # somebody else retried it meanwhile
            refused += 1
            continue
        try:
            await _retry(tx, held, retry_for, patience, by)
        except Conflict:
            refused += 1
    return Retried(len(found) - refused, refused, found[-1] if len(found) == _TOGETHER else None)


async def retry_message(tx: WriteTx, message_id: str, retry_for: timedelta, patience: timedelta, by: Editor) -> None:
    """Queue a dead or bounced message again, due now, to the present address of its recipient.

    Raises NotFound, IllegalMove if it is neither, and Conflict if its recipient has no address left that can carry it.
    """
    held = (await outbox.lock(tx, [message_id])).get(message_id)
    if held is None:
        raise NotFound(f"there is no message {message_id}")
    await _retry(tx, held, retry_for, patience, by)


async def _retry(tx: WriteTx, held: Held, retry_for: timedelta, patience: timedelta, by: Editor) -> None:
    # As for a new message: else an alert would be moved on before its first try here.
    fresh = replace(
        held.message.to(MessageState.QUEUED, by.at, due_at=by.at),
        move_on_at=by.at + patience,
        give_up_at=by.at + retry_for,
    )
    place, to = await _where_now(tx, held.message)
    why = f"retried by {by.who}"
    if to != Address(held.message.transport, held.message.address):
        why += f", by {to.transport} to {shown_address(to.address)}: its recipient no longer has {held.message.transport} {shown_address(held.message.address)}"
    await outbox.save(tx, [replace(fresh, why=why)])
    await readdress(tx, held.message.id, place, to)
    await note(tx, by, "retry", "message", held.message.id, {"was": held.message.why})
    tx.after_commit(lambda: by.wake("messages"))


async def _where_now(tx: WriteTx, message: Message) -> tuple[int, Address]:
    """Return place and address: as before if the recipient still has that address, else its first transport that can carry it."""
    recipient = (await recipients_by_id(tx, [message.recipient_id])).get(message.recipient_id)
    if recipient is None:
        raise Conflict("its recipient was deleted: there is nobody to send it to", code="recipient_deleted")
    as_before = Address(message.transport, message.address)
    if as_before in recipient.transports:
        return recipient.transports.index(as_before), as_before
    bodies = await outbox.kinds_of_body(tx, message.id)
    for place, one in enumerate(recipient.transports):
        if bodies.has(one.transport) and (message.is_alert or takes_summaries(one.transport)):
            return place, one
    theirs = ", ".join(one.transport for one in recipient.transports) or "none"
    raise Conflict(
        f"its recipient's transports ({theirs}) cannot carry it: it was worded for {message.transport}",
        code="no_transport",
    )
