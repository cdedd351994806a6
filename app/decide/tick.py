"""One pass of deciding: unfolded events become alerts and notices; silences that ended and repeats that are due are judged again.

It never loses an event: one that cannot be folded is set aside with its error, where administrators see it, and the others are decided.
"""

import time

from app.context import AppContext
from app.core import metrics
from app.core.errors import Unavailable
from app.core.log import log
from app.decide import reminders
from app.decide.judge import judge_events
from app.store.database_errors import describe_error
from app.store.events import claim_new_events, set_event_aside, waiting_event_ids

BATCH = 500


async def tick(context: AppContext) -> bool:
    """Decide on one batch of events and on what fell due. True when there may be more at once."""
    more = await _decide_events(context)
    return await reminders.tick(context) or more


async def _decide_events(context: AppContext) -> bool:
    try:
        return await _decide_batch(context) >= BATCH
    except Unavailable:  # an outage of the database must not set events aside: they did not cause it
        raise
    except Exception as cause:  # noqa: BLE001  (one bad event must not stop all others)
        log.error("a batch of events could not be decided; each is tried alone", cause=describe_error(cause))
    async with context.database.read() as tx:
        waiting = await waiting_event_ids(tx, BATCH)
    for event_id in waiting:
        try:
            await _decide_batch(context, only=event_id)
        except Unavailable:
            raise
        except Exception as cause:  # noqa: BLE001  (one bad event must not stop all others)
            log.exception("an event was set aside", event_id=event_id)
            async with context.database.write() as tx:
                await set_event_aside(tx, event_id, describe_error(cause))
    return True


async def _decide_batch(context: AppContext, only: str | None = None) -> int:
    async with context.database.write() as tx:
        events = await claim_new_events(tx, BATCH, only)
        if not events:
            return 0
        started = time.perf_counter()
        notices = await judge_events(tx, events, context.clock())
        if notices:
            tx.after_commit(lambda: context.wakeups.wake("notices"))
    decided_at = context.clock()
    for event in events:
        metrics.STAGE_SECONDS.labels("received_to_decided").observe(
            max(0.0, (decided_at - event.received_at).total_seconds())
        )
    log.debug("decided", events=len(events), notices=notices, seconds=round(time.perf_counter() - started, 4))
    return len(events)
