"""Events in the database: listed for administrators, marked by deciding, set aside and put back, and those that our own clock writes.

How intake stores new events is in `intake.py`, and how deciding claims them in `waiting.py`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, ColumnElement, and_, bindparam, func, literal_column, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.core.ids import first_id_at
from app.domain.event import (
    Activity,
    Event,
    EventKind,
    EventState,
    ListedEvent,
    Phase,
    RunOutcome,
    Severity,
    StoredEvent,
)
from app.domain.job import Job
from app.store.newest import MAX_RANGES, IndexRanges, page_newest, page_recent, split, tested
from app.store.prepared import Prepared
from app.store.repository import Page, Repository, Window
from app.store.scope import Scope, agent_ids
from app.store.tables import agents as agent_table
from app.store.tables import events, jobs
from app.store.transactions import ReadTx, WriteTx

EVENTS = Repository(events, StoredEvent, noun="event", prefix="evt", newest_first=True)
_LISTED = Repository(events, ListedEvent, noun="event", prefix="evt", newest_first=True)
_ACTIVITIES = tuple(activity.value for activity in Activity)
# The conditions of partial indexes, spelled out: SQLite uses such an index only where its condition stands in the query.
_IS_TROUBLE = events.c.outcome != literal_column("'success'")
_NEW = events.c.state == literal_column("'new'")
_SET_ASIDE = events.c.state == literal_column("'set_aside'")
_STATES: dict[EventState, ColumnElement[bool]] = {EventState.NEW: _NEW, EventState.SET_ASIDE: _SET_ASIDE}


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

    Customer, agent, job, run, activity, outcome and state are looked up in an index. Other filters are tested on each event that the index returns.
    """
    origin = await _origin_of(tx, filters)
    if origin is None or origin.agents == []:
        return Page((), None)
    where = _conditions(filters, origin, found_by=())
    if filters.run_id is not None:
        by_run = IndexRanges(events).by(events.c.run_id, [filters.run_id])
        return await page_newest(tx, _LISTED, by_run, _conditions(filters, origin, found_by=by_run.columns), window)
    if filters.state in _STATES:  # what waits or failed is little, and has an index of its own
        return await page_newest(tx, _LISTED, IndexRanges(events), where, window)
    if origin.agents is None:
        recent = await page_recent(tx, _LISTED, where, window)
        if recent is not None:
            return recent
    ranges = await _ranges(tx, filters, origin)
    if len(ranges.values) > MAX_RANGES:
        return await page_newest(tx, _LISTED, IndexRanges(events), where, window)
    where = _conditions(filters, origin, found_by=ranges.columns)
    if ranges.columns == (events.c.outcome,):
        where.append(_IS_TROUBLE)
    return await page_newest(tx, _LISTED, ranges, where, window)


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
    """Return the agents, job and activity whose events are wanted; None if no event can match."""
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


async def _ranges(tx: ReadTx, filters: EventFilters, origin: _Origin) -> IndexRanges:
    """Choose the shortest parts of an index that hold all events asked for; more than MAX_RANGES if there are too many."""
    every, customer_id, outcome = IndexRanges(events), filters.scope.customer_id, filters.outcome
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
    if len(parts.values) > MAX_RANGES:
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


async def newest_events(
    tx: ReadTx, customer_id: str, activity: Activity, agents: Collection[str], job_names: Collection[str]
) -> dict[tuple[str, str, str], tuple[str, datetime]]:
    """Return id and time of the newest event by the name of its agent, its job, and its outcome; by one range of the index each."""
    newest = (
        select(func.max(events.c.id))
        .join(agent_table, agent_table.c.id == events.c.agent_id)
        .where(
            agent_table.c.customer_id == customer_id,
            agent_table.c.name.in_(agents),
            events.c.job.in_(job_names),
            events.c.activity == activity.value,
            events.c.outcome.is_not(None),
        )
        .group_by(agent_table.c.name, events.c.job, events.c.outcome)
    )
    found = await tx.connection.execute(
        select(agent_table.c.name, events.c.job, events.c.outcome, events.c.id, events.c.occurred_at)
        .join(agent_table, agent_table.c.id == events.c.agent_id)
        .where(events.c.id.in_(newest))
    )
    return {(row.name, row.job, row.outcome): (row.id, row.occurred_at) for row in found}


_MARK_FOLDED = Prepared(lambda db: update(events).where(db.one_of(events.c.id, "ids")).values(state="folded"))
_MARK_FOLDED_INTO_RUN = Prepared(
    lambda _: (
        update(events).where(events.c.id == bindparam("of_event")).values(state="folded", run_id=bindparam("of_run"))
    )
)


async def received_times(tx: ReadTx, event_ids: Collection[str]) -> Mapping[str, datetime]:
    """Return when each of these events was received."""
    found = await tx.connection.execute(select(events.c.id, events.c.received_at).where(events.c.id.in_(event_ids)))
    return {row.id: row.received_at for row in found}


async def has_good_end_since(tx: ReadTx, job: Job, received_at: datetime) -> bool:
    """Return whether a success, or one with warnings, of this job was received after `received_at`; it may still wait."""
    names = [events.c.job == job.name]
    if job.name == job.activity:  # an event that names no job is of the job that is called like its activity
        names.append(events.c.job.is_(None))
    own = events.c.agent_id == job.agent_id, events.c.activity == job.activity
    later = events.c.id >= first_id_at("evt", received_at), events.c.received_at > received_at
    for name in names:
        for outcome in (RunOutcome.SUCCESS, RunOutcome.WARNING):
            found = select(events.c.id).where(*own, name, events.c.outcome == outcome.value, *later).limit(1)
            if await tx.connection.scalar(found) is not None:
                return True
    return False


async def mark_events_folded(tx: WriteTx, event_ids: Sequence[str], run_of: dict[str, str]) -> None:
    """Mark events as folded and note the run that each belongs to (`run_of`: event id to run id)."""
    plain = [event_id for event_id in event_ids if event_id not in run_of]
    if plain:
        await tx.change(_MARK_FOLDED, ids=plain)
    await tx.change_each(
        _MARK_FOLDED_INTO_RUN, [{"of_event": event_id, "of_run": run_id} for event_id, run_id in run_of.items()]
    )


async def set_event_aside(tx: WriteTx, event_id: str, error: str) -> None:
    """Set one event that cannot be folded aside, with its error, where administrators see it."""
    await tx.connection.execute(
        update(events).where(_NEW, events.c.id == event_id).values(state="set_aside", error=error[:2000])
    )


async def lock_event(tx: WriteTx, event_id: str) -> tuple[str, str | None] | None:
    """Return an event's state and error, locked until the commit."""
    query = select(events.c.state, events.c.error).where(events.c.id == event_id).with_for_update()
    row = (await tx.connection.execute(query)).one_or_none()
    return None if row is None else (row.state, row.error)


async def put_event_back(tx: WriteTx, event_id: str) -> None:
    """Have one event decided on again."""
    await tx.connection.execute(update(events).where(events.c.id == event_id).values(state="new", error=None))


async def put_events_back(tx: WriteTx, limit: int, *, after: str) -> list[str]:
    """Have up to `limit` events that were set aside decided on again, the oldest first; return their ids. `after`: the id to continue from."""
    oldest = select(events.c.id).where(_SET_ASIDE, events.c.id > after).order_by(events.c.id).limit(limit)
    ids = list((await tx.connection.execute(oldest.with_for_update(skip_locked=True))).scalars())
    if ids:
        await tx.connection.execute(update(events).where(events.c.id.in_(ids)).values(state="new", error=None))
    return ids


async def insert_clock_events(tx: WriteTx, made: Sequence[Event]) -> None:
    """Store events of our own clock. Their keys prevent two workers from storing the same event twice."""
    if not made:
        return
    insert = sqlite.insert if tx.is_sqlite else postgresql.insert
    rows = [
        {
            "id": event.id,
            "customer_id": event.customer_id,
            "agent_id": event.agent_id,
            "key": event.key,
            "kind": event.kind,
            "job": event.job,
            "run": event.run,
            "activity": event.activity,
            "phase": event.phase,
            "outcome": event.outcome,
            "severity": event.severity,
            "occurred_at": event.occurred_at,
            "received_at": event.received_at,
            "message": event.message,
            "log": event.log,
            "metrics": dict(event.metrics) or None,
            "extra": dict(event.extra) or None,
        }
        for event in made
    ]
    await tx.connection.execute(insert(events).on_conflict_do_nothing(), rows)
