"""One pass of deciding: unfolded events become alerts and notices; mutes that ended and repeats that are due are judged again.

It never loses an event: what cannot be folded is set aside with its error, seen by the admin, and the line goes on.
"""

import time

from app.base import metrics
from app.base.errors import Unavailable
from app.base.log import log
from app.decide.judge import judge
from app.decide.remind import judge_muted, tell_repeats
from app.house import House
from app.store import inbox
from app.store.away import told_of

BATCH = 500


async def tick(house: House) -> bool:
    """Decide on one batch of events and on what fell due. True when there may be more at once."""
    more = await _decide_events(house)
    now = house.clock()
    async with house.store.write() as unit:
        told = await judge_muted(unit, now) + await tell_repeats(unit, now)
        if told:
            unit.after_commit(lambda: house.bell.ring("notices"))
    return more


async def _decide_events(house: House) -> bool:
    try:
        return await _decide(house, None) >= BATCH
    except Unavailable:  # no event's fault: an outage must not set events aside
        raise
    except Exception as cause:  # noqa: BLE001  (the tick's rim: one bad event must not stop the line)
        log.error("a batch of events could not be decided; each is tried alone", cause=told_of(cause))
    async with house.store.read() as view:
        waiting = await inbox.waiting_ids(view, BATCH)
    for event_id in waiting:
        await _decide_alone(house, event_id)
    return True


async def _decide_alone(house: House, event_id: str) -> None:
    try:
        await _decide(house, event_id)
    except Unavailable:
        raise
    except Exception as cause:  # noqa: BLE001  (the tick's rim, see above)
        log.exception("an event was set aside", event_id=event_id)
        async with house.store.write() as unit:
            await inbox.set_aside(unit, event_id, told_of(cause))


async def _decide(house: House, only: str | None) -> int:
    async with house.store.write() as unit:
        events = await inbox.claim_new(unit, BATCH, only)
        if not events:
            return 0
        started = time.perf_counter()
        notices = await judge(unit, events, house.clock())
        if notices:
            unit.after_commit(lambda: house.bell.ring("notices"))
    decided_at = house.clock()
    for event in events:
        metrics.STAGE_SECONDS.labels("received_to_decided").observe(
            max(0.0, (decided_at - event.received_at).total_seconds())
        )
    log.debug("decided", events=len(events), notices=notices, seconds=round(time.perf_counter() - started, 4))
    return len(events)
