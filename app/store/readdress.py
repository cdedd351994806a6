"""Sends a message that is tried again where its recipient can be reached now. Its state is the outbox's to write."""

from sqlalchemy import update

from app.domain.recipient import Address
from app.store.tables import messages
from app.store.unit import Unit


async def readdress(unit: Unit, message_id: str, place: int, to: Address) -> None:
    """Give a message that this unit has locked to the recipient's transport at `place`; its bytes stay as they are."""
    there = {"place": place, "transport": to.transport, "address": to.address}
    await unit.connection.execute(update(messages).where(messages.c.id == message_id).values(there))
