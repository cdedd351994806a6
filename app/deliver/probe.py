"""Delivers the probe to nobody: its mail is read again and thrown away."""

from dataclasses import replace

from app.context import AppContext
from app.store.heartbeats import find_probe, pass_probe_on


async def tick(context: AppContext) -> None:
    """End the way of the probe if it waits for that."""
    async with context.database.read() as tx:
        probe = await find_probe(tx)
    if probe is None or probe.composed_at is None or probe.sent_at is not None:
        return
    now = context.clock()
    async with context.database.write() as tx:
        await pass_probe_on(tx, replace(probe, sent_at=now, passed_at=now, body=b""))
