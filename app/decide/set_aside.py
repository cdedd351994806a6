"""Reports as an event of our own that reports of trouble could not be decided on: the failure in them opened no alert."""

from app.context import AppContext
from app.decide.own_trouble import find_own_job, report
from app.domain.set_aside import JOB, set_aside_event
from app.store.pipeline_state import find_set_aside


async def tick(context: AppContext) -> bool:
    """Write an event when reports of trouble were set aside, and when none is any more. Returns False: none is left."""
    now = context.clock()
    async with context.database.read() as tx:
        found = await find_set_aside(tx)
        own = await find_own_job(tx, JOB)
    if own is None or bool(found.reports) == own.is_reported:
        return False
    await report(
        context,
        own,
        lambda agent_id, since: set_aside_event(
            found, customer_id=own.customer_id, agent_id=agent_id, well_since=since, now=now
        ),
        now,
    )
    return False
