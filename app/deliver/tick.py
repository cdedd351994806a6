"""Sends what lies in the outbox: one line for each transport, one ledger for all. It must not decide what becomes of a message."""

import asyncio
from collections.abc import Mapping

from app.base.ticking import beside
from app.deliver.ledger import Ledger
from app.deliver.line import Line
from app.deliver.transport import Transport
from app.house import House

_SENDERS = {"webhook": 8, "file": 2}
_PER_CONNECTION = 4  # one sends, the ledger writes for the others: the connection never waits for the disk


async def run(house: House, transports: Mapping[str, Transport], holder: str, stopping: asyncio.Event) -> None:
    """Deliver until `stopping` is set, and until what was being sent then has ended. Closes the transports."""
    ledger = Ledger(house)
    lines = [
        Line(
            house,
            name,
            transport,
            _SENDERS.get(name, _PER_CONNECTION * house.settings.smtp_connections),
            holder,
            ledger,
        )
        for name, transport in transports.items()
    ]
    try:
        ring = _pass_on(house.bell.messages, [line.wake for line in lines])
        async with beside(ledger.run()), beside(ring), asyncio.TaskGroup() as group:
            for line in lines:
                group.create_task(line.run(stopping))
    finally:
        await asyncio.gather(*(transport.close() for transport in transports.values()))


async def _pass_on(bell: asyncio.Event, wakes: list[asyncio.Event]) -> None:
    """Give each line its own ring: of one event for all, the first to hear it would clear it for the others."""
    while True:
        await bell.wait()
        bell.clear()
        for wake in wakes:
            wake.set()
