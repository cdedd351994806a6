"""Messages for tests of delivery in a real outbox, and what happened to them."""

from datetime import timedelta
from typing import Any

from sqlalchemy import insert, update

from app.context import AppContext
from app.core.ids import new_id
from app.domain.attempt import Attempt
from app.domain.message import Bodies, Message
from app.domain.recipient import Address
from app.store import outbox
from app.store.row_mapping import addresses_json
from app.store.tables_managed import recipients
from app.store.transactions import WriteTx

MAIL = b"Subject: FAILED\r\nMessage-ID: <one@tocsin>\r\n\r\nrepository is locked\r\n"
BODIES = Bodies(mail=MAIL, webhook=b'{"type":"alert.opened"}')


async def add_recipient(tx: WriteTx, context: AppContext, *addresses: Address) -> str:
    """Add a recipient with these transports, first choice first, and return the id."""
    recipient_id = new_id("rcp")
    row = {"id": recipient_id, "name": recipient_id, "transports": addresses_json(addresses), "follows_settings": False}
    await tx.connection.execute(insert(recipients), [{**row, "created_at": context.clock()}])
    return recipient_id


async def set_transports(tx: WriteTx, recipient_id: str, *addresses: Address) -> None:
    """Edit a recipient, as an administrator does."""
    stored = addresses_json(addresses)
    await tx.connection.execute(update(recipients).where(recipients.c.id == recipient_id).values(transports=stored))


async def post(
    context: AppContext, *addresses: Address, count: int = 1, bodies: Bodies = BODIES, **changes: Any
) -> list[str]:
    """Insert messages to one new recipient with these transports into the outbox; return their ids."""
    now = context.clock()
    async with context.database.write() as tx:
        recipient_id = await add_recipient(tx, context, *addresses)
        made = [_message(context, recipient_id, addresses[0], number, now, changes) for number in range(count)]
        await outbox.insert_messages(tx, [(message, bodies) for message in made])
    return [message.id for message in made]


def _message(
    context: AppContext, recipient_id: str, to: Address, number: int, now: Any, changes: dict[str, Any]
) -> Message:
    fields: dict[str, Any] = {
        "id": new_id("msg"),
        "recipient_id": recipient_id,
        "transport": to.transport,
        "place": 0,
        "address": to.address,
        "urgency": 1,
        "is_alert": True,
        "subject": "FAILED nightly-sql",
        "message_id": f"<{number}.{new_id('m')}@tocsin>",
        "created_at": now,
        "due_at": now,
        "move_on_at": now + timedelta(minutes=context.settings.failover_after_min),
        "give_up_at": now + timedelta(hours=context.settings.retry_for_h),
    }
    return Message(**{**fields, **changes})


async def message_of(context: AppContext, message_id: str) -> Message:
    """Return a message as it is now."""
    async with context.database.read() as tx:
        found = await outbox.find_message(tx, message_id)
    assert found is not None
    return found


async def life_of(context: AppContext, message_id: str) -> list[Attempt]:
    """Return a message's attempts, oldest first."""
    async with context.database.read() as tx:
        return await outbox.attempts_of(tx, message_id)
