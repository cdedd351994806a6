"""Reports rows that cannot be read as an event of our own, by the same routes as a failed backup.

Each worker looks with its own version. It reports what it cannot read itself; the end is reported when no worker has such rows, and none
has started so lately that it does not know of rows that were put off before.
"""

from datetime import timedelta

from app.context import AppContext
from app.decide.own_trouble import find_own_job, report
from app.domain.unreadable import JOB, REPORTED_AFTER, unreadable_event
from app.store.heartbeats import heartbeats_since, unreadable_of
from app.store.unreadable import SEEN_WITHIN, note_settings, unreadable_rows
from app.store.unreadable_settings import unreadable_settings

_ALIVE = timedelta(minutes=1)


async def tick(context: AppContext) -> bool:
    """Write an event when rows could not be read for some minutes, and when that is over. Returns False: none is left."""
    now = context.clock()
    async with context.database.read() as tx:
        note_settings(await unreadable_settings(tx), now)
        workers = await heartbeats_since(tx, now - _ALIVE)
        elsewhere = 0 if tx.is_sqlite else unreadable_of(workers)
        own = await find_own_job(tx, JOB)
    if own is None:
        return False
    found = unreadable_rows()
    late = [(one.table, one.row_id) for one in found if one.since <= now - REPORTED_AFTER]
    is_well = not found and not elsewhere and all(one.started_at <= now - SEEN_WITHIN for one in workers)
    is_news = is_well if own.is_reported else bool(late)
    if is_news:
        await report(
            context,
            own,
            lambda agent_id, since: unreadable_event(
                late, customer_id=own.customer_id, agent_id=agent_id, well_since=since, now=now
            ),
            now,
        )
    return False
