"""Delivery at work beside a test: the real lines and the real ledger, against whatever transports the test builds."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from app.deliver import tick as deliver
from app.deliver.transport import Transport
from app.domain.message import Message, MessageState
from app.house import House
from tests.support.outbox import message_of

PATIENCE_S = 10


@asynccontextmanager
async def delivering(
    house: House, transports: Mapping[str, Transport], holder: str = "worker:a"
) -> AsyncIterator[None]:
    """Deliver until the block ends, then stop cleanly."""
    stopping = asyncio.Event()
    work = asyncio.create_task(deliver.run(house, transports, holder, stopping))
    try:
        yield
    finally:
        stopping.set()
        async with asyncio.timeout(PATIENCE_S + 5):
            await work


async def until(house: House, message_id: str, *states: MessageState, attempts: int = 0) -> Message:
    """Wait until a message is in one of these states after so many attempts, and give it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            message = await message_of(house, message_id)
            if message.state in states and message.attempts >= attempts:
                return message
            house.bell.ring("messages")
            await asyncio.sleep(0.02)
