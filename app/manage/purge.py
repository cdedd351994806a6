"""Takes away what is kept no longer, a little at a time. It must not decide how long that is (that is `retention`)."""

import asyncio
from datetime import timedelta

from app.base.log import log
from app.house import House
from app.manage.retention import present
from app.store import heartbeats, purge

_BREATH_S = 0.05  # between two batches: on SQLite, events wait for the one writing connection meanwhile
_DEAD_WORKERS = timedelta(days=1)


async def tick(house: House) -> bool:
    """Remove a batch of everything that is too old; True if there may be more."""
    now = house.clock()
    async with house.store.read() as view:
        keep = (await present(view, house.settings)).fields
    events_before = now - timedelta(days=keep["keep_events_days"])
    before = now - timedelta(days=keep["keep_history_days"])
    # Notices before the messages that they name, alerts before the notices that they hold back.
    batches = (
        (purge.purge_events, events_before),
        (purge.purge_runs, before),
        (purge.purge_alerts, before),
        (purge.purge_notices, before),
        (purge.purge_messages, before),
        (purge.purge_summaries, before),
        (purge.purge_groups, before),
        (purge.purge_audit, before),
    )
    removed = 0
    for remove, moment in batches:
        async with house.store.write() as unit:
            removed += await remove(unit, moment)
        await asyncio.sleep(_BREATH_S)
    async with house.store.write() as unit:
        removed += await purge.purge_job_days(unit, before.date())
        await heartbeats.forget_silent(unit, now - _DEAD_WORKERS)
    if removed:
        log.info("removed what is kept no longer", rows=removed)
    return removed > 0
