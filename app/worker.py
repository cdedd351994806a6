"""Runs the pipeline: decide -> compose -> deliver. Each stage is a tick that runs when it is woken, or after a fixed time.

Any number of workers may share one database: a tick claims its rows, so no leader is elected and nothing is done twice.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from itertools import chain

from app.admin import clock_steps, follow_ups, purge
from app.compose import canaries as compose_canaries
from app.compose import deleted_ends, refresh
from app.compose import probe as compose_probe
from app.compose import tick as compose
from app.compose.render import load_templates
from app.context import AppContext
from app.core import metrics
from app.core.errors import ClockWrong
from app.core.log import log
from app.core.periodic import Idle, keep_ticking, run_in_background, seldom, wait_through_cancellations
from app.decide import (
    bounced_addresses,
    canaries,
    credentials,
    disk_space,
    flood,
    learn,
    missed,
    refused_agents,
    relays,
    set_aside,
    summaries,
    uncomposed,
    unended,
    unreadable_rows,
)
from app.decide import probe as decide_probe
from app.decide import tick as decide
from app.deliver import delivery_loop, purge_files, returned, sweep
from app.deliver import probe as deliver_probe
from app.deliver import relays as deliver_relays
from app.deliver.transport import Transport
from app.deliver.transports import build_transports
from app.deliver.worker_lock import worker_locks
from app.store.heartbeats import (
    Heartbeat,
    WorkerSession,
    database_time,
    delete_heartbeat,
    note_listening,
    write_heartbeat,
)
from app.store.prepared import Prepared

STOP_S = 10.0
MOST_CLOCK_DIFFERENCE_S = 10.0  # a third of a lease
_SECOND, _THIRD = 0.5, 1.0  # seconds after the start in which the stages begin that can wait
_GET_READY_AFTER_S = 0.1
_PROBE_S = 1.0  # the least time between two looks of a stage for the probe
_HOLDER_PREFIX = "worker:"  # the names of relays, which also hold leases, begin otherwise
Tick = Callable[[AppContext], Awaitable[bool | Idle]]


async def run(context: AppContext, transports: Mapping[str, Transport] | None = None) -> None:
    """Run every stage until cancelled; on cancellation, claim nothing new and finish what is claimed (at most 10 s).

    Raises ClockWrong.
    """
    if not context.settings.is_sqlite:
        # The workers' leases are compared by these clocks: with a wrong one, two workers would send the same mail.
        async with context.database.read() as tx:
            difference_s = abs((context.clock() - await database_time(tx)).total_seconds())
        if difference_s > MOST_CLOCK_DIFFERENCE_S:
            raise ClockWrong(f"this host's clock and the database's are {difference_s:.0f} s apart: run NTP on both")
    stopping = asyncio.Event()
    if transports is None:
        transports = build_transports(context.settings, context.secret)
    work = asyncio.create_task(_run_stages(context, transports, stopping))
    try:
        await asyncio.shield(work)
    finally:
        stopping.set()
        await wait_through_cancellations(work, STOP_S)
        if not work.done():
            log.error("the worker did not stop in time; what it was sending counts as unknown once its leases expire")
            work.cancel()
            await asyncio.wait([work], timeout=1)


@contextlib.asynccontextmanager
async def _sole_leases(context: AppContext, of_this_host: str, worker_name: str) -> AsyncIterator[WorkerSession | None]:
    """Take back what workers leased that are known to be dead, and let the next worker know when this one is.

    Otherwise what a worker was sending when it died would wait until its leases expire.
    """
    if context.settings.is_sqlite:  # this is its only worker, so the leases of all earlier ones are void
        await sweep.take_back_all_leases(context, _HOLDER_PREFIX)
        yield None
        return
    with worker_locks(context.settings.var_dir / "workers", of_this_host) as locks:
        for dead in locks.dead:
            await sweep.take_back_all_leases(context, dead)
        locks.keep_one(worker_name)
        # For workers that do not see this folder, such as a container that takes the place of this one.
        lock = WorkerSession()
        async with run_in_background(lock.keep(context.database, worker_name)):
            yield lock


def _probe_look(
    context: AppContext, probe: Callable[[AppContext], Awaitable[None]]
) -> Callable[[], Awaitable[bool]] | None:
    """Return a function that takes the probe on, at most once a second; None where there is no heartbeat that needs it."""
    if context.settings.heartbeat_url is None:
        return None
    return seldom(partial(probe, context), every=_PROBE_S, name="probe")


def _with_probe(context: AppContext, tick: Tick, probe: Callable[[AppContext], Awaitable[None]]) -> Tick:
    """Return a tick that also takes the probe on, where there is a heartbeat that needs it."""
    look = _probe_look(context, probe)
    if look is None:
        return tick

    async def both(context: AppContext) -> bool | Idle:
        more = await tick(context)
        has_looked = await look()
        return more if has_looked else bool(more)

    return both


async def _get_ready(context: AppContext) -> None:
    """Do in small steps what the first alert would else wait for: half of the tenth of a second that it took longer than the next ones.

    It waits a moment, so that the first heartbeat does not wait for it: the service is not ready before that.
    """
    await asyncio.sleep(_GET_READY_AFTER_S)
    for _ in chain(Prepared.compile_all(context.database.engines.writer.dialect), load_templates()):
        await asyncio.sleep(0)


async def _run_stages(context: AppContext, transports: Mapping[str, Transport], stopping: asyncio.Event) -> None:
    of_this_host = f"{_HOLDER_PREFIX}{socket.gethostname()}:"
    worker_name = f"{of_this_host}{os.getpid()}:{secrets.token_hex(4)}"
    started_at = context.clock()

    async def heartbeat(context: AppContext) -> bool:
        now = context.clock()
        async with context.database.write() as tx:
            await write_heartbeat(tx, Heartbeat(worker_name, started_at, now, tuple(transports), metrics.snapshot()))
            await note_listening(tx, now)
        context.database.writing.note_written()
        return False

    async with _sole_leases(context, of_this_host, worker_name) as lock, asyncio.TaskGroup() as stages:

        def stage(
            name: str, tick: Tick, *, every: float, wake: asyncio.Event | None = None, after: float = 0.0
        ) -> None:
            work = keep_ticking(
                partial(tick, context), name=name, stopping=stopping, every=every, wake=wake, after=after
            )
            stages.create_task(work)

        stage("heartbeat", heartbeat, every=5)  # first: the service is not ready before
        # In the order of urgency. A process that crashes every few seconds must first bring alerts that are decided on their way.
        probe_look = _probe_look(context, deliver_probe.tick)
        stages.create_task(delivery_loop.run(context, transports, worker_name, stopping, probe_look))
        stage("compose", _with_probe(context, compose.tick, compose_probe.tick), every=1, wake=context.wakeups.notices)
        stage("decide", _with_probe(context, decide.tick, decide_probe.tick), every=1, wake=context.wakeups.events)
        stages.create_task(_get_ready(context))
        stage("sweep", partial(sweep.tick, lock=lock), every=5)
        stage("clock", clock_steps.make_tick(), every=5)
        stage("refresh", refresh.tick, every=5, after=_SECOND)
        stage("mail that came back", returned.tick, every=2, wake=context.wakeups.returned)
        stage("edits", follow_ups.tick, every=5, wake=context.wakeups.edits)
        if context.settings.mailbox_url is not None:
            from app.deliver import mailbox  # noqa: PLC0415  (its libraries take 2 MiB, and most services read no mailbox)

            stages.create_task(mailbox.run(context, stopping))
        stage("move from relays", deliver_relays.tick, every=5, after=_SECOND)
        stage("missed", missed.tick, every=15, after=_SECOND)
        stage("summaries", summaries.tick, every=30, after=_SECOND)
        stage("relays", relays.tick, every=5, after=_SECOND)
        stage("refused agents", refused_agents.tick, every=30, after=_SECOND)
        stage("floods", flood.tick, every=10, after=_SECOND)
        stage("addresses that fail", bounced_addresses.tick, every=5, after=_SECOND)
        stage("disk space", disk_space.tick, every=5, after=_SECOND)
        stage("uncomposed", uncomposed.tick, every=60, after=20)
        stage("reports set aside", set_aside.tick, every=60, after=20)
        stage("unreadable rows", unreadable_rows.tick, every=60, after=20)
        stage("ends for programs", unended.make_tick(), every=60, after=20)
        stage("ends of deleted jobs", deleted_ends.tick, every=30, after=20)
        stage("canaries", canaries.tick, every=15, after=_SECOND)
        stage("send canaries", compose_canaries.tick, every=15, after=_SECOND)
        stage("learn", learn.tick, every=30, after=_THIRD)
        stage("credentials", credentials.tick, every=3600, after=_THIRD)
        stage("purge", purge.tick, every=3600, after=_THIRD)
        stage("purge mails", purge_files.tick, every=3600, after=_THIRD)
    async with context.database.write() as tx:
        await delete_heartbeat(tx, worker_name)
