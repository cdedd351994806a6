"""Messages for tests of delivery, put into a real outbox, and what became of them."""

from datetime import timedelta
from typing import Any

from sqlalchemy import insert, update

from app.base.ids import new_id
from app.domain.lease import Attempt
from app.domain.message import Bodies, Message
from app.domain.recipient import Address
from app.house import House
from app.store import attempts, outbox
from app.store.json_forms import addresses_json
from app.store.tables_managed import recipients
from app.store.unit import Unit

MAIL = b"Subject: FAILED\r\nMessage-ID: <one@tocsin>\r\n\r\nrepository is locked\r\n"
BODIES = Bodies(mail=MAIL, webhook=b'{"type":"alert.opened"}')


async def add_recipient(unit: Unit, house: House, *addresses: Address) -> str:
    """Add a recipient with these transports, first choice first; give the id."""
    recipient_id = new_id("rcp")
    row = {"id": recipient_id, "name": recipient_id, "transports": addresses_json(addresses), "follows_settings": False}
    await unit.connection.execute(insert(recipients), [{**row, "created_at": house.clock()}])
    return recipient_id


async def set_transports(unit: Unit, recipient_id: str, *addresses: Address) -> None:
    """Edit a recipient, as an administrator does."""
    stored = addresses_json(addresses)
    await unit.connection.execute(update(recipients).where(recipients.c.id == recipient_id).values(transports=stored))


async def post(house: House, *addresses: Address, count: int = 1, bodies: Bodies = BODIES, **given: Any) -> list[str]:
    """Put messages to one new recipient with these transports into the outbox; give their ids."""
    now = house.clock()
    async with house.store.write() as unit:
        recipient_id = await add_recipient(unit, house, *addresses)
        worded = [_message(house, recipient_id, addresses[0], number, now, given) for number in range(count)]
        await outbox.insert_messages(unit, [(message, bodies) for message in worded])
    return [message.id for message in worded]


def _message(house: House, recipient_id: str, to: Address, number: int, now: Any, given: dict[str, Any]) -> Message:
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
        "move_on_at": now + timedelta(minutes=house.settings.failover_after_min),
        "give_up_at": now + timedelta(hours=house.settings.retry_for_h),
    }
    return Message(**{**fields, **given})


async def message_of(house: House, message_id: str) -> Message:
    """Give a message as it stands."""
    async with house.store.read() as view:
        found = await outbox.find_message(view, message_id)
    assert found is not None
    return found


async def life_of(house: House, message_id: str) -> list[Attempt]:
    """Give a message's attempts, oldest first."""
    async with house.store.read() as view:
        return await attempts.attempts_of(view, message_id)
