"""Reports rows that cannot be read as an event of our own, by the same routes as a failed backup.

Each worker looks with its own version. It reports what it cannot read itself; the end is reported when no worker has such rows, and none
has started so lately that it does not know of rows that were put off before.
"""

from datetime import timedelta

from app.context import AppContext
from app.domain.job import JobState
from app.domain.service_event import AGENT, well_since
from app.domain.unreadable import JOB, REPORTED_AFTER, unreadable_event
from app.store.agents import find_agent_id
from app.store.events import insert_clock_events
from app.store.first_start import first_customer
from app.store.heartbeats import heartbeats_since, unreadable_of
from app.store.intake import find_or_create_agents
from app.store.jobs import JobFilters, find_job
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
        customer_id = await first_customer(tx)
        agent_id = None if customer_id is None else await find_agent_id(tx, customer_id, AGENT)
        job = None if agent_id is None else await find_job(tx, JobFilters(agent_id=agent_id, name=JOB))
    found = unreadable_rows()
    is_reported = job is not None and job.state is JobState.FAILED
    late = [(one.table, one.row_id) for one in found if one.since <= now - REPORTED_AFTER]
    is_well = not found and not elsewhere and all(one.started_at <= now - SEEN_WITHIN for one in workers)
    is_news = is_well if is_reported else bool(late)
    if customer_id is None or not is_news:
        return False
    async with context.database.write() as tx:
        agent = (customer_id, AGENT)
        agent_id = (await find_or_create_agents(tx, {agent}, now))[agent]
        since = well_since(job, now)
        event = unreadable_event(late, customer_id=customer_id, agent_id=agent_id, well_since=since, now=now)
        await insert_clock_events(tx, [event])
        tx.after_commit(lambda: context.wakeups.wake("events"))
    return False
