"""Sends what lies in the outbox: one line for each transport, one ledger for all. It must not decide what becomes of a message."""

import asyncio
from collections.abc import Mapping

from app.context import AppContext
from app.core.periodic import run_in_background
from app.deliver.ledger import Ledger
from app.deliver.line import Line
from app.deliver.transport import Transport

_SENDERS = {"webhook": 8, "file": 2}
_PER_CONNECTION = 4  # one sends, the ledger writes for the others: the connection never waits for the disk


async def run(context: AppContext, transports: Mapping[str, Transport], holder: str, stopping: asyncio.Event) -> None:
    """Deliver until `stopping` is set, and until what was being sent then has ended. Closes the transports."""
    ledger = Ledger(context)
    lines = [
        Line(
            context,
            name,
            transport,
            _SENDERS.get(name, _PER_CONNECTION * context.settings.smtp_connections),
            holder,
            ledger,
        )
        for name, transport in transports.items()
    ]
    try:
        wake = _pass_on(context.wakeups.messages, [line.wake for line in lines])
        async with run_in_background(ledger.run()), run_in_background(wake), asyncio.TaskGroup() as group:
            for line in lines:
                group.create_task(line.run(stopping))
    finally:
        await asyncio.gather(*(transport.close() for transport in transports.values()))


async def _pass_on(wakeups: asyncio.Event, wakes: list[asyncio.Event]) -> None:
    """Give each line its own ring: of one event for all, the first to hear it would clear it for the others."""
    while True:
        await wakeups.wait()
        wakeups.clear()
        for wake in wakes:
            wake.set()
