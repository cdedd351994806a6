"""Deletes what is older than the retention allows, in small batches. How long that is lies in `retention`."""

import asyncio
from datetime import timedelta

from app.admin.retention import current_retention
from app.context import AppContext
from app.core.log import log
from app.domain import returned_mail
from app.domain.ignored_mail import KEPT_FOR
from app.store import heartbeats, purge

_PAUSE_S = 0.05  # between two batches: on SQLite, events wait for the one writing connection meanwhile
_DEAD_WORKERS = timedelta(days=1)


async def tick(context: AppContext) -> bool:
    """Delete a batch of everything that is too old; return True if there may be more."""
    now = context.clock()
    async with context.database.read() as tx:
        keep = await current_retention(tx, context.settings)
    events_before = now - timedelta(days=keep.keep_events_days)
    before = now - timedelta(days=keep.keep_history_days)
    # Notices before the messages that they refer to, alerts before the notices that they keep from deletion.
    batches = (
        (purge.purge_events, events_before),
        (purge.purge_ignored_mails, now - KEPT_FOR),
        (purge.purge_returned_mails, now - returned_mail.KEPT_FOR),
        (purge.purge_runs, before),
        (purge.purge_alerts, before),
        (purge.purge_notices, before),
        (purge.purge_messages, before),
        (purge.purge_summaries, before),
        (purge.purge_canaries, before),
        (purge.purge_groups, before),
        (purge.purge_audit, before),
    )
    removed = 0
    for remove, moment in batches:
        async with context.database.write() as tx:
            removed += await remove(tx, moment)
        await asyncio.sleep(_PAUSE_S)
    async with context.database.write() as tx:
        removed += await purge.purge_job_days(tx, before.date())
        await heartbeats.delete_old_heartbeats(tx, now - _DEAD_WORKERS)
    if removed:
        log.info("deleted what is older than the retention", rows=removed)
    return removed > 0
