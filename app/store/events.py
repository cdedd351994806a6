"""Events for administrators: lists, and one event whole. What intake stores is in intake.py, what is decided on in inbox.py."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, literal_column, or_, select

from app.domain.event import (
    Activity,
    EventKind,
    EventState,
    ListedEvent,
    Phase,
    RunOutcome,
    Severity,
    StoredEvent,
)
from app.store.newest import (
    STRETCHES_MOST,
    Stretches,
    Values,
    distinct_values,
    page_newest,
    tested,
    values_with_rows,
)
from app.store.repository import Page, Repository, Window
from app.store.scope import Scope, agent_ids
from app.store.tables import events, jobs
from app.store.transactions import ReadTx

EVENTS = Repository(events, StoredEvent, noun="event", prefix="evt", newest_first=True)
_LISTED = Repository(events, ListedEvent, noun="event", prefix="evt", newest_first=True)
_OUTCOMES = (*(outcome.value for outcome in RunOutcome), None)
_ACTIVITIES = tuple(activity.value for activity in Activity)
# The state of the partial indexes, spelled out: SQLite uses such an index only where its condition stands in the query.
_STATES: dict[EventState, ColumnElement[bool]] = {
    EventState.NEW: events.c.state == literal_column("'new'"),
    EventState.SET_ASIDE: events.c.state == literal_column("'set_aside'"),
}


@dataclass(frozen=True, slots=True)
class EventFilters:
    """Which events a list shows. Each field that is not None must be met."""

    scope: Scope
    run_id: str | None = None
    state: EventState | None = None
    kind: EventKind | None = None
    activity: Activity | None = None
    phase: Phase | None = None
    outcome: RunOutcome | None = None
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class _Origin:
    """Which agents and job events are of. None: any agent; any job."""

    agents: list[str] | None
    job: str | None
    activity: str | None


async def page_events(tx: ReadTx, filters: EventFilters, window: Window) -> Page[ListedEvent]:
    """Return the newest events that meet the filters.

    Customer, agent, job, run, outcome and state are looked up in an index. What else is asked is tested on each event found so.
    """
    origin = await _origin_of(tx, filters)
    if origin is None or origin.agents == []:
        return Page((), None)
    stretches = await _stretches(tx, filters, origin)
    same: dict[str, str | None] = {
        "customer_id": filters.scope.customer_id,
        "run_id": filters.run_id,
        "kind": filters.kind,
        "activity": origin.activity,
        "phase": filters.phase,
        "outcome": filters.outcome,
        "severity": filters.severity,
    }
    found_by = {column.name for column in stretches.columns}
    where = tested(events, **{name: value for name, value in same.items() if name not in found_by})
    if filters.state is not None:
        where.append(_STATES.get(filters.state, events.c.state == filters.state))
    if origin.agents is not None and "agent_id" not in found_by:
        where.append(func.coalesce(events.c.agent_id, "").in_(origin.agents))
    if origin.job is not None:
        where.append(_is_of_job(origin.job))
    return await page_newest(tx, _LISTED, stretches, where, window)


async def _origin_of(tx: ReadTx, filters: EventFilters) -> _Origin | None:
    """Return whose events are asked for; None where no event can be."""
    scope, activity = filters.scope, filters.activity
    agents = await agent_ids(tx, scope)
    if scope.job_id is None:
        return _Origin(agents, scope.job, activity)
    query = select(jobs.c.agent_id, jobs.c.name, jobs.c.activity).where(jobs.c.id == scope.job_id)
    job = (await tx.connection.execute(query)).one_or_none()
    if (
        job is None
        or (agents is not None and job.agent_id not in agents)
        or scope.job not in (None, job.name)
        or activity not in (None, job.activity)
    ):
        return None
    return _Origin([job.agent_id], job.name, job.activity)


async def _stretches(tx: ReadTx, filters: EventFilters, origin: _Origin) -> Stretches:
    """Choose the shortest parts of an index that hold all events asked for."""
    if filters.run_id is not None:
        return Stretches(events).by(events.c.run_id, [filters.run_id])
    if filters.state in _STATES:  # what waits or failed is little, and has an index of its own
        return Stretches(events)
    outcomes = _OUTCOMES if filters.outcome is None else (filters.outcome.value,)
    if origin.agents is not None or origin.job is not None:
        parts = await _parts_of_jobs(tx, filters.scope.customer_id, origin)
        if len(parts) * len(outcomes) <= STRETCHES_MOST:
            by_job = Stretches(events, (events.c.agent_id, events.c.job, events.c.activity), parts)
            return by_job.by(events.c.outcome, outcomes)
    if filters.scope.customer_id is not None:
        return Stretches(events).by(events.c.customer_id, [filters.scope.customer_id]).by(events.c.outcome, outcomes)
    if filters.outcome is not None:
        customers = await distinct_values(tx, events.c.customer_id)
        return Stretches(events).by(events.c.customer_id, customers).by(events.c.outcome, outcomes)
    return Stretches(events)


async def _parts_of_jobs(tx: ReadTx, customer_id: str | None, origin: _Origin) -> list[Values]:
    """Return each (agent, job, activity) that has events asked for; where these are too many, only more than STRETCHES_MOST."""
    agents, job = origin.agents, origin.job
    if agents is None:
        same = {} if customer_id is None else {"customer_id": customer_id}
        agents = await distinct_values(tx, events.c.agent_id, **same)
    activities = _ACTIVITIES if origin.activity is None else (origin.activity,)
    found: list[Values] = []
    if job is not None:
        found = [(agent, job) for agent in agents]
        if job in activities:  # an event that names no job is of the job that is called like its activity
            found += [(agent, None) for agent in agents]
    else:
        for agent in agents:
            if len(found) > STRETCHES_MOST:
                return found
            found += [(agent, name) for name in (*await distinct_values(tx, events.c.job, agent_id=agent), None)]
    by_job = Stretches(events, (events.c.agent_id, events.c.job), found)
    if job is not None:
        by_job = Stretches(events, by_job.columns, await values_with_rows(tx, by_job))
    return await values_with_rows(tx, by_job.by(events.c.activity, activities))


def _is_of_job(name: str) -> ColumnElement[bool]:
    """Tell whether an event is of a job of this name; the same as `domain.event.job_of`."""
    [names_it] = tested(events, job=name)
    if name not in _ACTIVITIES:
        return names_it
    begins_or_ends_run = or_(
        events.c.phase.is_not(None),
        events.c.outcome.is_not(None),
        events.c.severity.in_((Severity.ERROR.value, Severity.CRITICAL.value)),
    )
    return or_(names_it, and_(events.c.job.is_(None), *tested(events, activity=name), begins_or_ends_run))
