"""Chooses where the end of alerts goes, for recipients with several transports of which one keeps the states of alerts.

After a failover the opening went to another address than the first: a program there would show the alert as open for ever, and a person who
was sent the opening by mail would not hear of the end.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from app.core.ids import new_id
from app.domain.message import KEEPS_STATES, Bodies, Message
from app.domain.notice import Notice, NoticeKind
from app.domain.recipient import Address, Recipient
from app.store.messages import addresses_reported_to
from app.store.transactions import ReadTx

Way = tuple[int, Address]  # with its place


def is_choice(to: Recipient) -> bool:
    """Say whether the end may have to go to another address of the recipient than the first."""
    return len(to.transports) > 1 and any(one.transport in KEEPS_STATES for one in to.transports)


async def end_addresses(tx: ReadTx, group: Sequence[Notice], to: Recipient, avoided: Collection[str]) -> list[Way]:
    """Return the addresses that were sent what the group ends, in the recipient's order; none if it is no group of ends.

    Those to which mail is known to come back (`avoided`, in lower case) are left out.
    """
    if not is_choice(to) or any(notice.what is not NoticeKind.RECOVERED for notice in group):
        return []
    reported_to = await addresses_reported_to(tx, to.id, [notice.alert_id for notice in group if notice.alert_id])
    return [
        (place, one)
        for place, one in enumerate(to.transports)
        if one in reported_to and one.address.lower() not in avoided
    ]


def to_each(message: Message, bodies: Bodies, ways: Sequence[Way]) -> list[tuple[Message, Bodies]]:
    """Return the message of an end for each of its addresses, the first of which it has already.

    A program that keeps states gets it for as long as messages are retried, not only until failover: no other transport can end it there.
    """
    made = []
    for number, (place, one) in enumerate(ways):
        move_on_at = message.give_up_at if one.transport in KEEPS_STATES else message.move_on_at
        copied = replace(message, place=place, transport=one.transport, address=one.address, move_on_at=move_on_at)
        made.append((replace(copied, id=new_id("msg")) if number else copied, bodies))
    return made
