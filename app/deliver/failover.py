"""Moves a message that its transport cannot send to the recipient's next one. It must not word anything: the bytes go along."""

from dataclasses import replace
from datetime import datetime

from app.core.ids import new_id
from app.domain.message import Message, MessageState, check_move
from app.domain.recipient import Address
from app.store import outbox
from app.store.recipients import recipients_by_id
from app.store.transactions import WriteTx


async def move_on(tx: WriteTx, message: Message, now: datetime, why: str) -> Message | None:
    """Make the successor of `message`, which is locked, and give `message` as it is then; None if there is nowhere to go.

    What may have been sent already goes out again only if it is an alert: twice is better than never for an alert, and for nothing else.
    """
    if message.maybe_sent and not message.is_alert:
        return None
    found = await _next_address(tx, message)
    if found is None:
        return None
    place, to = found
    check_move(message.state, MessageState.MOVED)
    successor = replace(
        message,
        id=new_id("msg"),
        transport=to.transport,
        address=to.address,
        place=place,
        state=MessageState.QUEUED,
        created_at=now,
        due_at=now,
        move_on_at=now + (message.move_on_at - message.created_at),
        give_up_at=now + (message.give_up_at - message.created_at),
        attempts=0,
        lease_token=None,
        lease_until=None,
        lease_holder=None,
        moved_from=message.id,
        moved_to=None,
        relay_id=None,
        settled_at=None,
        why=_said_openly(message, why),
    )
    await outbox.insert_successor(tx, successor, of=message.id)
    return replace(
        message,
        state=MessageState.MOVED,
        moved_to=successor.id,
        settled_at=now,
        lease_token=None,
        lease_until=None,
        lease_holder=None,
        why=f"{why}; goes by {to.transport} instead",
    )


def _said_openly(message: Message, why: str) -> str:
    doubt = "; it may have arrived that way already, so this may be the second one" if message.maybe_sent else ""
    return f"{message.transport} could not send it: {why}{doubt}"


async def _next_address(tx: WriteTx, message: Message) -> tuple[int, Address] | None:
    """Give the first of the recipient's transports, as they are now, that this message was not given to before."""
    recipient = (await recipients_by_id(tx, [message.recipient_id])).get(message.recipient_id)
    if recipient is None or not recipient.transports:
        return None
    tried = {Address(message.transport, message.address)}
    before = message.moved_from
    while before is not None and (earlier := await outbox.find_message(tx, before)) is not None:
        tried.add(Address(earlier.transport, earlier.address))
        before = earlier.moved_from
    bodies = await outbox.kinds_of_body(tx, message.id)
    for place, one in enumerate(recipient.transports):
        if one not in tried and bodies.has(one.transport):
            return place, one
    return None
