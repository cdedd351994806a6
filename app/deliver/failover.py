"""Moves a message that its transport cannot send to the recipient's next transport, with the same bytes."""

from collections.abc import Collection, Sequence
from datetime import datetime

from app.core.ids import new_id
from app.domain.message import Bodies, Message, MessageState
from app.domain.recipient import Address
from app.store import outbox
from app.store.recipients import recipients_by_id
from app.store.transactions import WriteTx


async def move_on(tx: WriteTx, message: Message, now: datetime, why: str) -> Message | None:
    """Create the successor of `message`, which is locked, and return `message` as moved; None if there is no other transport.

    A message that may have been sent already moves only if it is an alert: for an alert, twice is better than never.
    """
    if message.maybe_sent and not message.is_alert:
        return None
    recipient = (await recipients_by_id(tx, [message.recipient_id])).get(message.recipient_id)
    if recipient is None or not recipient.transports:
        return None
    tried = {Address(message.transport, message.address)}
    before = message.moved_from
    while before is not None and (earlier := await outbox.find_message(tx, before)) is not None:
        tried.add(Address(earlier.transport, earlier.address))
        before = earlier.moved_from
    found = next_address(recipient.transports, tried, await outbox.kinds_of_body(tx, message.id))
    if found is None:
        return None
    place, to = found
    doubt = "; it may have arrived that way already, so this may be the second one" if message.maybe_sent else ""
    successor = message.successor(new_id("msg"), place, to, now, f"{message.transport} could not send it: {why}{doubt}")
    moved = message.to(MessageState.MOVED, now, why=f"{why}; goes by {to.transport} instead", moved_to=successor.id)
    await outbox.insert_successor(tx, successor, of=message.id)
    return moved


def next_address(
    addresses: Sequence[Address], tried: Collection[Address], bodies: Bodies
) -> tuple[int, Address] | None:
    """Return the first address, with its place, that was not tried yet and whose transport can send one of the bodies."""
    for place, address in enumerate(addresses):
        if address not in tried and bodies.has(address.transport):
            return place, address
    return None
