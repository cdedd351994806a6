"""How a trouble of the service itself is reported: as an event of a job of our own, by the same routes as a failed backup."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from app.context import AppContext
from app.domain.event import Event
from app.domain.job import Job, JobState
from app.domain.service_event import AGENT, well_since
from app.store.agents import find_agent_id
from app.store.events import insert_clock_events
from app.store.first_start import first_customer
from app.store.intake import find_or_create_agents
from app.store.jobs import JobFilters, find_job
from app.store.transactions import ReadTx


@dataclass(frozen=True, slots=True)
class OwnJob:
    """The customer of our own jobs, and the job under which a trouble is reported; None: it was never reported."""

    customer_id: str
    job: Job | None

    @property
    def is_reported(self) -> bool:
        """Whether the trouble is reported, and its end is not."""
        return self.job is not None and self.job.state is JobState.FAILED


async def find_own_job(tx: ReadTx, name: str) -> OwnJob | None:
    """Return the job of this name; None where there is no customer yet, and so nobody to notify."""
    customer_id = await first_customer(tx)
    if customer_id is None:
        return None
    agent_id = await find_agent_id(tx, customer_id, AGENT)
    job = None if agent_id is None else await find_job(tx, JobFilters(agent_id=agent_id, name=name))
    return OwnJob(customer_id, job)


async def report(context: AppContext, own: OwnJob, event_of: Callable[[str, datetime], Event], now: datetime) -> None:
    """Write an event of our own. `event_of` makes it of the agent's id and of `well_since` (see domain/service_event.py)."""
    async with context.database.write() as tx:
        agent = (own.customer_id, AGENT)
        agent_id = (await find_or_create_agents(tx, {agent}, now))[agent]
        await insert_clock_events(tx, [event_of(agent_id, well_since(own.job, now))])
        tx.after_commit(lambda: context.wakeups.wake("events"))
