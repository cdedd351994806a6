"""Runs the pipeline: decide -> compose -> deliver, each as a tick that is woken by a doorbell or by the clock.

Any number of workers may share one database: a tick claims its rows, so nothing is elected and nothing is done twice.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial

from app.admin import purge
from app.compose import tick as compose
from app.context import AppContext
from app.core import metrics
from app.core.errors import ClockWrong
from app.core.log import log
from app.core.periodic import keep_ticking
from app.decide import learn, relays, summaries, watch
from app.decide import tick as decide
from app.deliver import old_files, sweep
from app.deliver import relays as stranded
from app.deliver import tick as deliver
from app.deliver.transport import Transport
from app.deliver.transports import build_transports
from app.store.heartbeats import Heartbeat, beat, database_time, end_heartbeat
from app.store.listening import note_listening

STOP_S = 10.0
CLOCKS_APART_S = 10.0  # a third of a lease
_HOLDER = "worker:"  # relays hold leases too, under names of their own


async def run(context: AppContext, transports: Mapping[str, Transport] | None = None) -> None:
    """Run every stage until cancelled; on cancellation, claim nothing new and finish what is claimed (at most 10 s)."""
    await _check_clock(context)
    stopping = asyncio.Event()
    built = (
        transports if transports is not None else build_transports(context.settings, context.secret.derive("webhook"))
    )
    work = asyncio.create_task(_stages(context, built, stopping))
    try:
        await asyncio.shield(work)
    finally:
        stopping.set()
        await asyncio.wait([work], timeout=STOP_S)
        if not work.done():
            log.error("the worker did not stop in time; what it was sending counts as unknown once its leases ran out")
            work.cancel()
            await asyncio.wait([work], timeout=1)


async def _check_clock(context: AppContext) -> None:
    """Refuse to work by a clock that differs much from the database's: leases of several hosts are compared, and a mail would go twice."""
    if context.settings.is_sqlite:
        return
    async with context.database.read() as tx:
        apart = abs((context.clock() - await database_time(tx)).total_seconds())
    if apart > CLOCKS_APART_S:
        raise ClockWrong(f"this host's clock and the database's are {apart:.0f} s apart: run NTP on both")


async def _stages(context: AppContext, transports: Mapping[str, Transport], stopping: asyncio.Event) -> None:
    name = f"{_HOLDER}{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    go = partial(_keep, context, stopping)
    heartbeat = partial(_beat, name=name, transports=tuple(transports), started_at=context.clock())
    if context.settings.is_sqlite:  # its one worker is this one: whatever an earlier one held was dropped
        while await sweep.tick(context, of_holders=_HOLDER):
            pass
    async with asyncio.TaskGroup() as stages:
        stages.create_task(go("heartbeat", heartbeat, every=5))
        stages.create_task(go("decide", decide.tick, every=1, wake=context.wakeups.events))
        stages.create_task(go("missed", watch.tick, every=15))
        stages.create_task(go("learn", learn.tick, every=30))
        stages.create_task(go("summaries", summaries.tick, every=30))
        stages.create_task(go("compose", compose.tick, every=1, wake=context.wakeups.notices))
        stages.create_task(deliver.run(context, transports, name, stopping))
        stages.create_task(go("sweep", sweep.tick, every=5))
        stages.create_task(go("relays", relays.tick, every=5))
        stages.create_task(go("move from relays", stranded.tick, every=5))
        stages.create_task(go("purge", purge.tick, every=3600))
        stages.create_task(go("purge mails", old_files.tick, every=3600))
    async with context.database.write() as tx:
        await end_heartbeat(tx, name)


async def _keep(
    context: AppContext,
    stopping: asyncio.Event,
    name: str,
    tick: Callable[[AppContext], Awaitable[bool]],
    *,
    every: float,
    wake: asyncio.Event | None = None,
) -> None:
    await keep_ticking(partial(tick, context), name=name, stopping=stopping, every=every, wake=wake)


async def _beat(context: AppContext, name: str, transports: tuple[str, ...], started_at: datetime) -> bool:
    async with context.database.write() as tx:
        now = context.clock()
        await beat(tx, Heartbeat(name, started_at, now, transports, metrics.snapshot()))
        await note_listening(tx, now)
    return False
