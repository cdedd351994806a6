"""Pings `TOCSIN_HEARTBEAT_URL` while the whole pipeline works, and reports what is wrong where it does not.

It runs in the HTTP process, so that a worker that died is reported too. Where several processes share a database, they take turns.
The ping says "all is well" only if a probe (domain/probe.py) came to its end lately and nothing waits too long in any stage.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from app.context import AppContext
from app.core.errors import TocsinError
from app.core.log import log
from app.core.periodic import keep_repeating, run_in_background
from app.deliver.heartbeat_request import send_heartbeat
from app.domain.probe import NEVER_PASSED, Probe
from app.intake.commit import GroupCommit
from app.intake.probe import store_probe
from app.store.heartbeats import find_probe, note_heartbeat, oldest_waiting_events, take_turn
from app.store.monitoring import outbox_depth, overdue_notices
from app.store.transactions import ReadTx

_DATABASE_S = 10.0  # for each step
_PASS_S = 15.0  # for which a ping waits for its probe
_LOOK_S = 0.5
_TROUBLE_WITHIN, _ROUTINE_WITHIN = timedelta(minutes=5), timedelta(minutes=15)
_COMPOSED_WITHIN = timedelta(minutes=5)
_LATELY = timedelta(seconds=30)  # and three pings: for so long, a probe that is slow is no failure
_SLACK = timedelta(seconds=2)


@contextlib.asynccontextmanager
async def pinging(context: AppContext, commits: GroupCommit) -> AsyncIterator[None]:
    """Ping while the block runs."""

    async def act() -> None:
        await send_once(context, commits)

    work = keep_repeating(act, name="heartbeat", every=float(context.settings.heartbeat_every_s))
    async with run_in_background(work):
        yield


async def send_once(context: AppContext, commits: GroupCommit) -> None:
    """Take the turn, let a probe pass, judge and ping. Does nothing if it is another process's turn."""
    settings, now = context.settings, context.clock()
    if settings.heartbeat_url is None:
        return
    every = timedelta(seconds=settings.heartbeat_every_s)
    wrong: str | None
    try:
        async with asyncio.timeout(_DATABASE_S), context.database.write() as tx:
            if not await take_turn(tx, now, now - every + min(_SLACK, every / 4)):
                return
        wrong = await _find_wrong(context, commits)
    except TimeoutError:
        wrong = f"the database does not answer within {_DATABASE_S:g} s"
    except TocsinError as error:
        wrong = f"the database cannot be used: {error.code}"
    except Exception as error:  # noqa: BLE001  (an error boundary: whatever fails here is what the ping must report)
        log.error("the pipeline could not be examined for the heartbeat", exc_info=error)
        wrong = f"the pipeline could not be examined ({type(error).__name__}); the log has the reason"
    trouble = await send_heartbeat(settings.heartbeat_url.get_secret_value(), settings.heartbeat_kind, wrong)
    if wrong is not None:
        log.warning("the heartbeat reports that something is wrong", reason=wrong)
    if trouble is not None:
        log.warning("the heartbeat could not be sent", cause=trouble)
    with contextlib.suppress(TocsinError, TimeoutError):
        async with asyncio.timeout(_DATABASE_S), context.database.write() as tx:
            await note_heartbeat(tx, context.clock(), trouble, wrong)


async def _find_wrong(context: AppContext, commits: GroupCommit) -> str | None:
    """Return what is wrong; None if a probe passed and nothing waits too long."""
    async with asyncio.timeout(_DATABASE_S), context.database.read() as tx:
        probe = await find_probe(tx)
    if probe is None or probe.is_over(context.clock()):
        passed_at = probe.passed_at if probe is not None else None
        async with asyncio.timeout(_DATABASE_S):
            started = await store_probe(context, commits, passed_at)
        probe = started
    passed = await _wait_for(context, probe)
    async with asyncio.timeout(_DATABASE_S), context.database.read() as tx:
        reasons = await stuck(tx, context.clock(), timedelta(minutes=context.settings.failover_after_min))
    if passed is not None:
        reasons.insert(0, passed)
    return "; ".join(reasons) or None


async def _wait_for(context: AppContext, probe: Probe) -> str | None:
    """Wait until the probe came to its end. Return what is wrong if none did lately."""
    end = asyncio.get_running_loop().time() + _PASS_S
    newest: Probe | None = probe
    while asyncio.get_running_loop().time() < end:
        async with asyncio.timeout(_DATABASE_S), context.database.read() as tx:
            newest = await find_probe(tx)
        if newest is not None and newest.id == probe.id and newest.sent_at is not None:
            return None
        await asyncio.sleep(_LOOK_S)
    if newest is None:
        return "the probe was not stored"
    lately = max(_LATELY, 3 * timedelta(seconds=context.settings.heartbeat_every_s))
    if newest.passed_at is not None and timedelta(0) <= context.clock() - newest.passed_at <= min(lately, NEVER_PASSED):
        return None
    return f"a probe of {newest.stored_at:%Y-%m-%d %H:%M:%S} UTC was not {newest.where()}: does the worker run?"


async def stuck(tx: ReadTx, now: datetime, patience: timedelta) -> list[str]:
    """Return what waits too long in each stage. No name and no address may appear: the texts go to a service outside."""
    reasons = []
    oldest, trouble = await oldest_waiting_events(tx)
    for received_at, within, what in (
        (trouble, _TROUBLE_WITHIN, "a report of trouble"),
        (oldest, _ROUTINE_WITHIN, "a report"),
    ):
        if received_at is not None and now - received_at > within:
            reasons.append(f"{what} waits to be decided on for {_minutes(now - received_at)}")
            break
    late = await overdue_notices(tx, now - _COMPOSED_WITHIN)
    if late.oldest_due_at is not None:
        since = _minutes(now - late.oldest_due_at)
        reasons.append(f"{late.notices} notice(s) wait to be composed, the oldest for {since}")
    depths = await outbox_depth(tx)
    for transport in sorted({depth.transport for depth in depths}):
        of_it = [depth for depth in depths if depth.transport == transport]
        oldest_at = min(depth.oldest_at for depth in of_it)
        if now - oldest_at > patience:
            count = sum(depth.messages for depth in of_it)
            reasons.append(f"{count} message(s) wait for {transport}, the oldest for {_minutes(now - oldest_at)}")
    return reasons


def _minutes(age: timedelta) -> str:
    return f"{age.total_seconds() / 60:.0f} min"
