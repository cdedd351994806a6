"""Short functions for tests of messages: addresses, states, successors, and a later time."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from app.context import AppContext
from app.domain.message import MessageState
from app.domain.recipient import Address
from tests.support.api import Api
from tests.support.outbox import message_of

BY_MAPI, BY_SMTP = Address("mapi", "ann@example.org"), Address("smtp", "ann@example.org")
DEAD, LEASED, MOVED = MessageState.DEAD, MessageState.LEASED, MessageState.MOVED
QUEUED, SENT, UNKNOWN = MessageState.QUEUED, MessageState.SENT, MessageState.UNKNOWN


def later(context: AppContext, **time: float) -> AppContext:
    """The same AppContext, some time later."""
    return replace(context, clock=lambda: context.clock() + timedelta(**time))


async def state_of(api: Api, message_id: str) -> MessageState:
    return (await message_of(api.context, message_id)).state


async def successor_of(api: Api, message_id: str) -> dict[str, Any]:
    moved = await api.tell("GET", f"/v1/messages/{message_id}")
    assert (moved["state"], moved["moved_to"] is not None) == ("moved", True), moved
    found: dict[str, Any] = await api.tell("GET", f"/v1/messages/{moved['moved_to']}")
    return found
