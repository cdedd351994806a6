"""Moves a message that its transport cannot send to the recipient's next one. It must not word anything: the bytes go along."""

from datetime import datetime

from app.core.ids import new_id
from app.domain.message import Message, MessageState
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
    doubt = "; it may have arrived that way already, so this may be the second one" if message.maybe_sent else ""
    successor = message.successor(new_id("msg"), place, to, now, f"{message.transport} could not send it: {why}{doubt}")
    moved = message.to(MessageState.MOVED, now, why=f"{why}; goes by {to.transport} instead", moved_to=successor.id)
    await outbox.insert_successor(tx, successor, of=message.id)
    return moved


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
