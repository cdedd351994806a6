"""Events for administrators: lists, and one event whole. What intake stores is in intake.py, what is decided on in inbox.py."""

from dataclasses import dataclass

from sqlalchemy import Column, ColumnElement, and_, func, literal_column, or_, select

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
from app.store.newest import STRETCHES_MOST, Stretches, page_newest, page_recent, split, tested
from app.store.repository import Page, Repository, Window
from app.store.scope import Scope, agent_ids
from app.store.tables import events, jobs
from app.store.transactions import ReadTx

EVENTS = Repository(events, StoredEvent, noun="event", prefix="evt", newest_first=True)
_LISTED = Repository(events, ListedEvent, noun="event", prefix="evt", newest_first=True)
_ACTIVITIES = tuple(activity.value for activity in Activity)
# The conditions of partial indexes, spelled out: SQLite uses such an index only where its condition stands in the query.
_IS_TROUBLE = events.c.outcome != literal_column("'success'")
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

    Customer, agent, job, run, activity, outcome and state are looked up in an index. What else is asked is tested on each event found so.
    """
    origin = await _origin_of(tx, filters)
    if origin is None or origin.agents == []:
        return Page((), None)
    where = _conditions(filters, origin, found_by=())
    if filters.run_id is not None:
        by_run = Stretches(events).by(events.c.run_id, [filters.run_id])
        return await page_newest(tx, _LISTED, by_run, _conditions(filters, origin, found_by=by_run.columns), window)
    if filters.state in _STATES:  # what waits or failed is little, and has an index of its own
        return await page_newest(tx, _LISTED, Stretches(events), where, window)
    if origin.agents is None:
        recent = await page_recent(tx, _LISTED, where, window)
        if recent is not None:
            return recent
    stretches = await _stretches(tx, filters, origin)
    if len(stretches.values) > STRETCHES_MOST:
        return await page_newest(tx, _LISTED, Stretches(events), where, window)
    where = _conditions(filters, origin, found_by=stretches.columns)
    if stretches.columns == (events.c.outcome,):
        where.append(_IS_TROUBLE)
    return await page_newest(tx, _LISTED, stretches, where, window)


def _conditions(filters: EventFilters, origin: _Origin, found_by: tuple[Column[str], ...]) -> list[ColumnElement[bool]]:
    """Return the filters as conditions, without those that the columns of an index meet."""
    same: dict[str, str | None] = {
        "customer_id": filters.scope.customer_id,
        "run_id": filters.run_id,
        "kind": filters.kind,
        "activity": origin.activity,
        "phase": filters.phase,
        "outcome": filters.outcome,
        "severity": filters.severity,
    }
    done = {column.name for column in found_by}
    where = tested(events, **{name: value for name, value in same.items() if name not in done})
    if filters.state is not None:
        where.append(_STATES.get(filters.state, events.c.state == filters.state))
    if origin.agents is not None and "agent_id" not in done:
        where.append(func.coalesce(events.c.agent_id, "").in_(origin.agents))
    if origin.job is not None:
        where.append(_is_of_job(origin.job))
    return where


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
    """Choose the shortest parts of an index that hold all events asked for; more than STRETCHES_MOST if there are too many."""
    every, customer_id, outcome = Stretches(events), filters.scope.customer_id, filters.outcome
    if (origin.agents, origin.job, origin.activity, customer_id) == (None, None, None, None):
        if outcome is None:
            return every
        if outcome is not RunOutcome.SUCCESS:
            return every.by(events.c.outcome, [outcome.value])
    parts = every
    if origin.agents is not None:
        parts = every.by(events.c.agent_id, origin.agents)
    elif customer_id is not None:
        of_customer = every.by(events.c.customer_id, [customer_id])
        agents = [values[-1] for values in (await split(tx, of_customer, events.c.agent_id)).values]
        parts = every.by(events.c.agent_id, agents)
    else:
        parts = await split(tx, every, events.c.agent_id)
    if origin.job is None:
        parts = await split(tx, parts, events.c.job)
    else:  # an event that names no job is of the job that is called like its activity
        parts = parts.by(events.c.job, [origin.job, *([None] if origin.job in _ACTIVITIES else [])])
    if len(parts.values) > STRETCHES_MOST:
        return parts
    if origin.activity is None:
        parts = await split(tx, parts, events.c.activity)
    else:
        parts = parts.by(events.c.activity, [origin.activity])
    if outcome is None:
        return await split(tx, parts, events.c.outcome)
    return parts.by(events.c.outcome, [outcome.value])


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
