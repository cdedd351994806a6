"""Moves a message that its transport cannot send to the recipient's next transport, with the same bytes."""

from collections.abc import Collection, Sequence
from datetime import datetime

from app.core.ids import new_id
from app.domain.message import Bodies, Message, MessageState, takes_summaries
from app.domain.recipient import Address, shown_address
from app.store import outbox
from app.store.returned_mails import passed_over
from app.store.routing import recipients_by_id
from app.store.transactions import WriteTx


async def move_on(
    tx: WriteTx, message: Message, now: datetime, why: str, into: MessageState = MessageState.MOVED
) -> Message | None:
    """Create the successor of `message`, which is locked, and return `message` as moved; None if there is no other transport.

    `into` is BOUNCED for one that came back. A message that may have been sent already moves only if it is an alert: for an alert, twice is better than never.
    """
    if message.maybe_sent and not message.is_alert:
        return None
    found = await next_way(tx, message, now, is_bounced=into is MessageState.BOUNCED)
    if found is None:
        return None
    place, to = found
    doubt = "; it may have arrived that way already, so this may be the second one" if message.maybe_sent else ""
    failed = f"{message.transport} could not send it: {why}{doubt}"
    if into is MessageState.BOUNCED:
        failed = f"by {message.transport} to {shown_address(message.address)} it {why}"
    successor = message.successor(new_id("msg"), place, to, now, failed)
    moved = message.to(into, now, why=f"{why}; goes by {to.transport} instead", moved_to=successor.id)
    await outbox.insert_successor(tx, successor, of=message.id)
    return moved


async def next_way(
    tx: WriteTx, message: Message, now: datetime, *, is_bounced: bool = False
) -> tuple[int, Address] | None:
    """Return the recipient's next address for a message, with its place; None if there is no other transport."""
    if not message.is_alert and not takes_summaries(message.transport):
        return None  # a refresh (compose/refresh.py) says nothing new to anybody else
    recipient = (await recipients_by_id(tx, [message.recipient_id])).get(message.recipient_id)
    if recipient is None or not recipient.transports:
        return None
    tried = {Address(message.transport, message.address)}
    before = message.moved_from
    while before is not None and (earlier := await outbox.find_message(tx, before)) is not None:
        tried.add(Address(earlier.transport, earlier.address))
        before = earlier.moved_from
    avoided = await passed_over(tx, now)
    if is_bounced:
        avoided |= {message.address.lower()}  # by another transport it would come back again
    if not message.is_alert:
        tried |= {one for one in recipient.transports if not takes_summaries(one.transport)}
    return next_address(recipient.transports, tried, await outbox.kinds_of_body(tx, message.id), avoided)


def next_address(
    addresses: Sequence[Address], tried: Collection[Address], bodies: Bodies, avoided: Collection[str] = ()
) -> tuple[int, Address] | None:
    """Return the first address, with its place, that was not tried yet and whose transport can send one of the bodies.

    Those to which mail is known to come back (`avoided`, in lower case) are the last choice.
    """
    usable = [(place, one) for place, one in enumerate(addresses) if one not in tried and bodies.has(one.transport)]
    return min(usable, key=lambda found: (found[1].address.lower() in avoided, found[0]), default=None)
