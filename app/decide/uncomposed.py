"""Reports notices of which no message can be composed as an event of our own, by the same routes as a failed backup."""

from app.context import AppContext
from app.domain.job import JobState
from app.domain.service_event import AGENT, well_since
from app.domain.uncomposed import JOB, REPORTED_AFTER, uncomposed_event
from app.store.agents import find_agent_id
from app.store.events import insert_clock_events
from app.store.first_start import first_customer
from app.store.intake import find_or_create_agents
from app.store.jobs import JobFilters, find_job
from app.store.notices import uncomposed


async def tick(context: AppContext) -> bool:
    """Write an event when notices cannot be composed for some minutes, and when that is over. Returns False: none is left."""
    now = context.clock()
    async with context.database.read() as tx:
        found = await uncomposed(tx, now)
        customer_id = await first_customer(tx)
        agent_id = None if customer_id is None else await find_agent_id(tx, customer_id, AGENT)
        job = None if agent_id is None else await find_job(tx, JobFilters(agent_id=agent_id, name=JOB))
    is_reported = job is not None and job.state is JobState.FAILED
    late = [one for one in found if one.since <= now - REPORTED_AFTER]
    is_news = bool(late) and not is_reported if found else is_reported
    if customer_id is None or not is_news:
        return False
    async with context.database.write() as tx:
        agent = (customer_id, AGENT)
        agent_id = (await find_or_create_agents(tx, {agent}, now))[agent]
        since = well_since(job, now)
        event = uncomposed_event(late, customer_id=customer_id, agent_id=agent_id, well_since=since, now=now)
        await insert_clock_events(tx, [event])
        tx.after_commit(lambda: context.wakeups.wake("events"))
    return False
