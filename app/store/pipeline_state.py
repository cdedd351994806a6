"""Whether the states of jobs are up to date: a worker runs, no report waits for long, and none of trouble was set aside."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, literal_column, select, text

from app.domain.job_status import PipelineState
from app.domain.set_aside import SetAside
from app.store.alerts import Customers, only
from app.store.tables import TROUBLE, agents, events, jobs
from app.store.tables_managed import heartbeats
from app.store.transactions import ReadTx
from app.store.waiting import oldest_waiting_event

SET_ASIDE_MOST = 1_000  # events that were set aside are counted up to here


async def read_pipeline_state(tx: ReadTx, seen: Customers = None) -> PipelineState:
    """Return whether the states of the jobs of these customers are up to date."""
    worker_seen_at: datetime | None = await tx.connection.scalar(select(func.max(heartbeats.c.at)))
    some = select(events.c.id).where(*_is_set_aside()).limit(SET_ASIDE_MOST)
    some = some.where(*only(seen, events.c.customer_id))
    set_aside = await tx.connection.scalar(select(func.count()).select_from(some.subquery()))
    return PipelineState(worker_seen_at, await oldest_waiting_event(tx), int(set_aside or 0))


def _is_set_aside() -> list[ColumnElement[bool]]:
    """Return the condition that a report of trouble was set aside. It changed no job, and counts until a later run of its job has ended."""
    is_followed = (
        select(jobs.c.id)
        .where(
            jobs.c.agent_id == events.c.agent_id,
            jobs.c.name == func.coalesce(events.c.job, events.c.activity),
            jobs.c.activity == events.c.activity,
            jobs.c.last_finished_at > events.c.occurred_at,
        )
        .correlate(events)
        .exists()
    )
    return [events.c.state == literal_column("'set_aside'"), and_(text(TROUBLE)), ~is_followed]


async def find_set_aside(tx: ReadTx) -> SetAside:
    """Return how many reports of trouble were set aside, up to SET_ASIDE_MOST, with the first of them."""
    columns = events.c.id, agents.c.name, func.coalesce(events.c.job, events.c.activity), events.c.error
    query = select(*columns).join(agents, agents.c.id == events.c.agent_id, isouter=True).where(*_is_set_aside())
    found = (await tx.connection.execute(query.order_by(events.c.id).limit(SET_ASIDE_MOST))).all()
    if not found:
        return SetAside(0)
    event_id, agent, job, error = found[0]
    return SetAside(len(found), event_id, agent or "an agent that was deleted", job, error or "")
