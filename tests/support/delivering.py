"""Runs the real delivery loops during a test, with the transports that the test builds."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from app.context import AppContext
from app.deliver import delivery_loop
from app.deliver.transport import Transport
from app.domain.message import Message, MessageState
from tests.support.outbox import message_of

PATIENCE_S = 10


@asynccontextmanager
async def delivering(
    context: AppContext, transports: Mapping[str, Transport], holder: str = "worker:a"
) -> AsyncIterator[None]:
    """Deliver until the block ends, then stop cleanly."""
    stopping = asyncio.Event()
    work = asyncio.create_task(delivery_loop.run(context, transports, holder, stopping))
    try:
        yield
    finally:
        stopping.set()
        async with asyncio.timeout(PATIENCE_S + 5):
            await work


async def until(context: AppContext, message_id: str, *states: MessageState, attempts: int = 0) -> Message:
    """Wait until a message is in one of these states after so many attempts, and return it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            message = await message_of(context, message_id)
            if message.state in states and message.attempts >= attempts:
                return message
            context.wakeups.wake("messages")
            await asyncio.sleep(0.02)
