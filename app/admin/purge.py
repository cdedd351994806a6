"""Deletes what is older than the retention allows, in small batches. How long that is lies in `retention`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

from app.admin.retention import current_retention
from app.context import AppContext
from app.core.log import log
from app.domain import returned_mail
from app.domain.ignored_mail import KEPT_FOR
from app.domain.refused_reports import COUNTED_FOR
from app.store import heartbeats, purge
from app.store.excesses import delete_old_refused
from app.store.purge import Deleted
from app.store.transactions import WriteTx

_PAUSE_S = 0.05  # between two batches: on SQLite, events wait for the one writing connection meanwhile
_BATCHES = 10  # of one kind, before the others have their turn
_DEAD_WORKERS = timedelta(days=1)


async def tick(context: AppContext) -> bool:
    """Delete some batches of everything that is too old; return True if there may be more."""
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
        (purge.purge_audit, before),
    )
    removed = 0
    for remove, moment in batches:
        removed += await _remove_by_id(context, remove, moment)
    removed += await _remove(context, partial(purge.purge_groups, before=before))
    removed += await _remove(context, partial(purge.purge_job_days, before=before.date()))
    async with context.database.write() as tx:
        await heartbeats.delete_old_heartbeats(tx, now - _DEAD_WORKERS)
        await delete_old_refused(tx, now - 7 * COUNTED_FOR)
    if removed:
        log.info("deleted what is older than the retention", rows=removed)
    return removed > 0


async def _remove_by_id(
    context: AppContext, remove: Callable[[WriteTx, datetime, str], Awaitable[Deleted]], before: datetime
) -> int:
    """Delete as `_remove` does, in the order of the ids, and go on where the last tick has ended.

    From the start, each batch would look again at all old rows that are kept, such as the last run of each job that is no longer used.
    """
    kind = remove.__name__

    async def remove_next(tx: WriteTx) -> Deleted:
        return await remove(tx, before, context.purge_places.get(kind, ""))

    def note(deleted: Deleted) -> None:
        context.purge_places[kind] = deleted.last_id if deleted.rows == purge.BATCH else ""

    return await _remove(context, remove_next, note)


async def _remove(
    context: AppContext, remove: Callable[[WriteTx], Awaitable[Deleted]], note: Callable[[Deleted], None] | None = None
) -> int:
    """Delete up to _BATCHES batches of one kind, with pauses, and return how many rows. `note` is called after each."""
    removed = 0
    for _ in range(_BATCHES):
        async with context.database.write() as tx:
            deleted = await remove(tx)
        if note is not None:
            note(deleted)
        removed += deleted.rows
        await asyncio.sleep(_PAUSE_S)
        if deleted.rows < purge.BATCH:
            break
    return removed
