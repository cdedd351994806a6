"""Reports notices of which no message can be composed as an event of our own, by the same routes as a failed backup."""

from app.context import AppContext
from app.decide.own_trouble import find_own_job, report
from app.domain.uncomposed import JOB, REPORTED_AFTER, uncomposed_event
from app.store.notices import uncomposed


async def tick(context: AppContext) -> bool:
    """Write an event when notices cannot be composed for some minutes, and when that is over. Returns False: none is left."""
    now = context.clock()
    async with context.database.read() as tx:
        found = await uncomposed(tx, now)
        own = await find_own_job(tx, JOB)
    if own is None:
        return False
    late = [one for one in found if one.since <= now - REPORTED_AFTER]
    is_news = bool(late) and not own.is_reported if found else own.is_reported
    if is_news:
        await report(
            context,
            own,
            lambda agent_id, since: uncomposed_event(
                late, customer_id=own.customer_id, agent_id=agent_id, well_since=since, now=now
            ),
            now,
        )
    return False
