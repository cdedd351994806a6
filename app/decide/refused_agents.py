"""Writes the events about enrolment keys whose limits refuse agents: nobody hears of the backups of a host that is refused.

One event a day and key at most, reported like a failed backup. It is over when the key refused nothing for a day, or was revoked.
"""

from datetime import datetime, timedelta

from app.context import AppContext
from app.domain.dedupe import refused_agents_key
from app.domain.event import Event
from app.domain.job import JobState
from app.domain.key import Key
from app.domain.service_event import AGENT, service_event
from app.store.events import insert_clock_events
from app.store.intake import find_or_create_agents
from app.store.jobs import JobFilters, find_job
from app.store.keys import keys_that_refused
from app.store.transactions import ReadTx

OVER_AFTER = timedelta(days=1)
_LOOKED_BACK = timedelta(days=30)  # so long may a worker have been away before the end of a refusal is not reported


async def tick(context: AppContext) -> bool:
    """Report keys that refuse agents and were not reported today, and those that do so no longer."""
    now = context.clock()
    async with context.database.read() as tx:
        news = [key for key in await keys_that_refused(tx, now - _LOOKED_BACK) if await _is_news(tx, key, now)]
    for key in news:
        async with context.database.write() as tx:
            agent = (key.customer_id or "", AGENT)
            agent_id = (await find_or_create_agents(tx, {agent}, now))[agent]
            await insert_clock_events(tx, [refusal_event(key, agent_id, now)])
            tx.after_commit(lambda: context.wakeups.wake("events"))
    return False


async def _is_news(tx: ReadTx, key: Key, now: datetime) -> bool:
    job = await find_job(tx, JobFilters(customer_id=key.customer_id, name=job_name_of_key(key)))
    if is_over(key, now):
        return job is not None and job.state is not JobState.OK
    is_reported = job is not None and job.last_came_at is not None and job.state is not JobState.OK
    return not is_reported or job is None or _day(job.last_came_at) < _day(key.refused_at)


def is_over(key: Key, now: datetime) -> bool:
    """Return whether a key that refused agents is no trouble any more."""
    return key.revoked_at is not None or key.refused_at is None or now - key.refused_at >= OVER_AFTER


def job_name_of_key(key: Key) -> str:
    """Return the name of the job under which a key's refusals are reported."""
    return f"enrolment key {key.name}"[:170] + f" {key.id[-6:]}"


def refusal_event(key: Key, agent_id: str, now: datetime) -> Event:
    """Return the event about what a key refuses: a failure, or a success if it is over."""
    over, at = is_over(key, now), key.refused_at or now
    times = f"{key.refused_count:,} event{'s' if key.refused_count != 1 else ''}"
    trouble = f"its limits have refused {times}; nobody hears of these backups. Most recently: {key.refused_why}"
    return service_event(
        (key.customer_id or "", agent_id),
        refused_agents_key(key.id, at, is_over=over),
        job_name_of_key(key),
        "it has refused nothing for a day, or was revoked" if over else trouble,
        now,
        is_well=over,
    )


def _day(at: datetime | None) -> str:
    return "" if at is None else at.date().isoformat()
