"""Takes back expired leases, and moves or ends messages that waited too long for their transport."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from app.context import AppContext
from app.core.log import log
from app.core.periodic import Idle
from app.deliver.failover import move_on
from app.deliver.report import report_given_up
from app.deliver.settle import AttemptResult, settle_all
from app.domain.attempt import Unknown
from app.domain.lease import Claim
from app.domain.message import Message, MessageState
from app.domain.relay import RELAY_HOLDER
from app.store import outbox
from app.store.heartbeats import WorkerSession, dead_workers
from app.store.transactions import WriteTx

_BATCH, _MOVES = 10, 5  # in one transaction, so that others can write in between
_WORKER_LOST = Unknown("lost", "the worker died or was cut off")
_RELAY_LOST = Unknown("lost", "the relay was cut off: it neither reported what became of this nor renewed its lease")


async def tick(context: AppContext, lock: WorkerSession | None = None) -> bool | Idle:
    """Process a batch of each, each in its own transaction. `lock`: with it, leases of workers that died are taken back, too. True if there may be more, or how long nothing can be due."""
    now = context.clock()
    # A new lease ends later than that, and a new message may wait so long for its transport.
    idle = min(context.wakeups.idle, timedelta(minutes=context.settings.failover_after_min))
    has_leases = lock is not None and await _take_back_of_dead_workers(context, lock, now)
    async with context.database.write() as tx:
        taken_back = await take_back_leases(tx, now)
        if taken_back:
            tx.after_commit(lambda: context.wakeups.wake("messages"))
        is_idle = not (has_leases or taken_back or await outbox.expired(tx, now + idle, 1))
    async with context.database.read() as tx:  # during an outage of a transport many messages wait to be looked at
        too_old = await outbox.overdue(tx, now, _MOVES)
        is_idle = is_idle and not (too_old or await outbox.overdue(tx, now + idle, 1))
    if too_old:
        async with context.database.write() as tx:
            await move_overdue(tx, too_old, now)
            tx.after_commit(lambda: context.wakeups.wake("messages"))
    return Idle(idle) if is_idle else taken_back == _BATCH or len(too_old) == _MOVES


async def _take_back_of_dead_workers(context: AppContext, lock: WorkerSession, now: datetime) -> bool:
    """Take back the leases of workers that died, on whatever host; return whether there are leases."""
    async with context.database.read() as tx:
        holders = await outbox.lease_holders(tx)
        dead = await dead_workers(tx, holders, now) if lock.is_settled else []
    for worker in dead:
        log.warning("a worker died; the messages that it was sending are sent again", worker=worker)
        await take_back_all_leases(context, worker)
        context.wakeups.wake("messages")
    return bool(holders)


async def take_back_all_leases(context: AppContext, of_holders: str) -> None:
    """Take back all leases of the holders whose names begin with `of_holders`, who are known to be dead, a batch in one transaction."""
    changed = _BATCH
    while changed == _BATCH:
        async with context.database.write() as tx:
            changed = await take_back_leases(tx, context.clock(), of_holders=of_holders)


async def take_back_leases(tx: WriteTx, now: datetime, *, of_holders: str | None = None) -> int:
    """Take back expired leases. A message whose attempt was begun may have been sent and is tried again at once; the others were not.

    With `of_holders`, also the leases of every holder whose name begins with it, expired or not.
    """
    locked = await outbox.lock(tx, await outbox.expired(tx, now, _BATCH, of_holders=of_holders))
    begun = {id_: held for id_, held in locked.items() if held.attempt_id is not None}
    results = [
        AttemptResult(
            Claim(id_, held.message.lease_token or ""),
            _RELAY_LOST if (held.message.lease_holder or "").startswith(RELAY_HOLDER) else _WORKER_LOST,
        )
        for id_, held in begun.items()
    ]
    await settle_all(tx, results, begun, now, at_once=True)
    not_begun = [held.message for id_, held in locked.items() if id_ not in begun]
    await outbox.save(tx, [message.to(MessageState.QUEUED, now) for message in not_begun])
    return len(locked)


async def move_overdue(tx: WriteTx, ids: Collection[str], now: datetime) -> None:
    """Move messages that waited too long, or end them as dead; even where nothing serves their transport and so nothing is ever attempted."""
    changed = []
    for held in (await outbox.lock(tx, ids)).values():
        message = held.message
        if not outbox.is_overdue(message, now):  # it was sent or moved meanwhile
            continue
        why = _why_overdue(message, now)
        after = await move_on(tx, message, now, why)
        if after is None and now >= message.give_up_at:
            after = message.to(MessageState.DEAD, now, why=f"given up: {why}")
        # There is no other transport: not checked again before `give_up_at`, or it would take a place in every batch.
        changed.append(after or replace(message, move_on_at=message.give_up_at))
    await outbox.save(tx, changed)
    for message in changed:
        tx.after_commit(partial(report_given_up, message))


def _why_overdue(message: Message, now: datetime) -> str:
    """Say how long it waited and why the last attempt failed: "not sent" alone does not say what to repair."""
    seconds = int((now - message.created_at).total_seconds())
    waited = f"{seconds} s" if seconds < 60 else f"{seconds // 60} min"  # noqa: PLR2004  (a minute)
    tried = "1 attempt" if message.attempts == 1 else f"{message.attempts} attempts"
    last_failure = f": {message.why}" if message.attempts and message.why else ""
    return f"not sent within {waited}, after {tried}{last_failure}"
