"""Sends messages where their recipient can be reached now: one that is tried again, and alerts whose address was taken away. Its state is the outbox's to write."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, false, or_, update

from app.domain.message import MessageState
from app.domain.recipient import Address
from app.store.tables import messages
from app.store.transactions import WriteTx


async def readdress(tx: WriteTx, message_id: str, place: int, to: Address) -> None:
    """Give a message that this unit has locked to the recipient's transport at `place`; its bytes stay as they are."""
    there = {"place": place, "transport": to.transport, "address": to.address}
    await tx.connection.execute(update(messages).where(messages.c.id == message_id).values(there))


async def move_on_from_others(tx: WriteTx, recipient_id: str, reached_by: Sequence[Address], now: datetime) -> None:
    """Have alerts move on now that wait for an address which their recipient has no more: there nobody may ever fetch or take them.

    And those that had nowhere else to go until now (`move_on_at` at its end).
    """
    same = (and_(messages.c.transport == one.transport, messages.c.address == one.address) for one in reached_by)
    waiting = messages.c.state.in_((MessageState.QUEUED, MessageState.LEASED, MessageState.UNKNOWN))
    may_move = or_(~or_(false(), *same), messages.c.move_on_at >= messages.c.give_up_at)
    theirs = waiting, messages.c.recipient_id == recipient_id, messages.c.is_alert, may_move
    await tx.connection.execute(update(messages).where(*theirs).values(move_on_at=now))
