"""One pass of deciding: unfolded events become alerts and notices; mutes that ended and repeats that are due are judged again.

It never loses an event: what cannot be folded is set aside with its error, seen by the admin, and the line goes on.
"""

import time

from app.context import AppContext
from app.core import metrics
from app.core.errors import Unavailable
from app.core.log import log
from app.decide.judge import judge
from app.decide.remind import judge_muted, tell_repeats
from app.store import inbox
from app.store.away import told_of

BATCH = 500


async def tick(context: AppContext) -> bool:
    """Decide on one batch of events and on what fell due. True when there may be more at once."""
    more = await _decide_events(context)
    now = context.clock()
    async with context.database.write() as tx:
        told = await judge_muted(tx, now) + await tell_repeats(tx, now)
        if told:
            tx.after_commit(lambda: context.wakeups.wake("notices"))
    return more


async def _decide_events(context: AppContext) -> bool:
    try:
        return await _decide(context, None) >= BATCH
    except Unavailable:  # no event's fault: an outage must not set events aside
        raise
    except Exception as cause:  # noqa: BLE001  (the tick's rim: one bad event must not stop the line)
        log.error("a batch of events could not be decided; each is tried alone", cause=told_of(cause))
    async with context.database.read() as tx:
        waiting = await inbox.waiting_ids(tx, BATCH)
    for event_id in waiting:
        await _decide_alone(context, event_id)
    return True


async def _decide_alone(context: AppContext, event_id: str) -> None:
    try:
        await _decide(context, event_id)
    except Unavailable:
        raise
    except Exception as cause:  # noqa: BLE001  (the tick's rim, see above)
        log.exception("an event was set aside", event_id=event_id)
        async with context.database.write() as tx:
            await inbox.set_aside(tx, event_id, told_of(cause))


async def _decide(context: AppContext, only: str | None) -> int:
    async with context.database.write() as tx:
        events = await inbox.claim_new(tx, BATCH, only)
        if not events:
            return 0
        started = time.perf_counter()
        notices = await judge(tx, events, context.clock())
        if notices:
            tx.after_commit(lambda: context.wakeups.wake("notices"))
    decided_at = context.clock()
    for event in events:
        metrics.STAGE_SECONDS.labels("received_to_decided").observe(
            max(0.0, (decided_at - event.received_at).total_seconds())
        )
    log.debug("decided", events=len(events), notices=notices, seconds=round(time.perf_counter() - started, 4))
    return len(events)
