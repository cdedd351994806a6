"""Events in the database: listed for administrators, marked by deciding, set aside and put back, and those that our own clock writes.

Also the texts of unclear runs: what deciding needs of those of a job, and those that an administrator's answer is for.
How intake stores new events is in `intake.py`, and how deciding claims them in `waiting.py`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Column, ColumnElement, and_, case, func, literal_column, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.core.ids import first_id_at
from app.domain.alert import Alert, AlertKind
from app.domain.event import (
    PROVEN,
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
from app.domain.job import Job, newest_of
from app.domain.run import Run
from app.domain.text_form import BODY_ENDS_READ, TextForm, form_of
from app.domain.unclear import UnclearHistory, UnclearText
from app.store.alerts import ALERTS
from app.store.customers import Scope, agent_ids
from app.store.prepared import Prepared
from app.store.repository import (
    MAX_RANGES,
    IndexRanges,
    Page,
    Repository,
    Window,
    page_newest,
    page_recent,
    split,
    tested,
)
from app.store.run_history import newest_by_outcome
from app.store.runs import RUNS
from app.store.tables import agents as agent_table
from app.store.tables import alerts, events, jobs, runs
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
    """Tell whether an event is of a job of this name; the same as `domain.event.job_name_of`."""
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
_MARK_FOLDED_INTO_RUN = Prepared(lambda db: db.update_each(events, "id", ("run_id",)).values(state="folded"))


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
    await tx.change_columns(_MARK_FOLDED_INTO_RUN, {"of_id": list(run_of), "run_id": list(run_of.values())})


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


MOST_ANSWERED = 500  # texts that one answer is for; older ones stay unclear in the history
NEWEST_ALERTS = 500  # of a job, among which an earlier one of the same form is looked for
NEWEST_TEXTS = 50  # of a job's unclear runs since its last proven one; a text costs up to a millisecond


async def count_unclear_texts(tx: ReadTx, job_ids: Iterable[str]) -> dict[str, int]:
    """Return how many forms of unclear texts of each job wait for an answer; jobs without any are left out."""
    waiting = alerts.c.subject_id.in_(set(job_ids)), alerts.c.kind == AlertKind.UNCLEAR, alerts.c.closed_at.is_(None)
    counted = select(alerts.c.subject_id, func.count().label("number")).where(*waiting).group_by(alerts.c.subject_id)
    return {row.subject_id: row.number for row in await tx.connection.execute(counted)}


@dataclass(frozen=True, slots=True)
class ReportedText:
    """An event whose outcome was read from words, with the run that it decides; None: it was not decided on yet."""

    event: StoredEvent
    run: Run | None
    form: TextForm


# As much of a log as its form depends on. The space keeps it longer than both ends, so that it has the form of the whole log.
_ENDS_OF_LOG = case(
    (func.length(events.c.log) <= 2 * BODY_ENDS_READ, events.c.log),
    else_=func.substr(events.c.log, 1, BODY_ENDS_READ)
    + " "
    + func.substr(events.c.log, func.length(events.c.log) - BODY_ENDS_READ + 1),
)


async def read_unclear_history(tx: ReadTx, job_id: str, event_ids: Iterable[str]) -> UnclearHistory:
    """Return the job's unclear runs since its last proven one. `event_ids`: the events that its open unclear alerts rest on."""
    of_job = runs.c.job_id == job_id
    proven = newest_of((await newest_by_outcome(tx, [job_id]))[job_id], *PROVEN)
    since = [] if proven is None else [runs.c.ended_at >= proven.ended_at]
    texts = (
        select(runs, _ENDS_OF_LOG.label("body"), events.c.message.label("subject"))
        .outerjoin(events, events.c.id == runs.c.event_id)
        .where(of_job, runs.c.outcome == RunOutcome.UNCLEAR, runs.c.ended_at.is_not(None), *since)
        .order_by(runs.c.ended_at.desc(), runs.c.run_key.desc())
        .limit(NEWEST_TEXTS)
    )
    # Through the events, because no index of the runs begins with the event that decided them.
    theirs = select(events.c.run_id).where(events.c.id.in_(set(event_ids)), events.c.run_id.is_not(None))
    rested_on = select(runs).where(runs.c.id.in_(theirs), of_job)
    found = UnclearHistory(
        tuple(
            UnclearText(RUNS.mapping.read(row), form_of(row.subject or row.message or "", row.body or "").key)
            for row in reversed((await tx.connection.execute(texts)).all())
        ),
        proven,
        {row.event_id: RUNS.mapping.read(row) for row in await tx.connection.execute(rested_on)},
    )
    return replace(found, texts=tuple(text for text in found.texts if not found.is_answered(text.run)))


async def forms_reported_before(tx: ReadTx, job_id: str, since: datetime) -> set[str]:
    """Return the forms of which this job had an alert since then that is closed, among its newest alerts."""
    newest = select(alerts).where(alerts.c.subject_id == job_id).order_by(alerts.c.id.desc()).limit(NEWEST_ALERTS)
    newest_of_it = newest.subquery()
    closed = newest_of_it.c.kind == AlertKind.UNCLEAR, newest_of_it.c.closed_at >= since
    return set((await tx.connection.scalars(select(newest_of_it.c.form).where(*closed).distinct())).all())


async def find_reported_text(tx: ReadTx, event_id: str) -> ReportedText:
    """Return an event with its run. Raises NotFound."""
    event = await EVENTS.get(tx, event_id)
    row = (await tx.connection.execute(select(runs).where(runs.c.id == event.run_id))).one_or_none()
    form = form_of(event.message or "", event.log or "")
    return ReportedText(event, None if row is None else RUNS.mapping.read(row), form)


async def find_unclear_alerts(tx: ReadTx, customer_id: str, form: str) -> list[Alert]:
    """Return the open unclear alerts of a customer about texts of this form."""
    about = alerts.c.customer_id == customer_id, alerts.c.kind == AlertKind.UNCLEAR, alerts.c.form == form
    query = select(alerts).where(*about, alerts.c.closed_at.is_(None)).order_by(alerts.c.id)
    return [ALERTS.mapping.read(row) for row in await tx.connection.execute(query)]


async def lock_open_alerts(tx: WriteTx, ids: Collection[str]) -> list[Alert]:
    """Return those of these alerts that are still open, locked until the commit."""
    query = select(alerts).where(alerts.c.id.in_(ids), alerts.c.closed_at.is_(None)).order_by(alerts.c.id)
    return [ALERTS.mapping.read(row) for row in await tx.connection.execute(query.with_for_update())]


async def find_unclear_texts(tx: ReadTx, job_ids: Iterable[str], form: str) -> list[ReportedText]:
    """Return the texts of this form, among the newest of the jobs, whose runs are unclear."""
    unclear = (
        select(runs)
        .where(runs.c.job_id.in_(set(job_ids)), runs.c.outcome == RunOutcome.UNCLEAR)
        .order_by(runs.c.id.desc())
        .limit(MOST_ANSWERED)
    )
    by_event = {row.event_id: RUNS.mapping.read(row) for row in await tx.connection.execute(unclear)}
    head = _ENDS_OF_LOG.label("log")
    columns = [head if column is events.c.log else column for column in EVENTS.mapping.columns]
    found: list[ReportedText] = []
    for row in await tx.connection.execute(select(*columns).where(events.c.id.in_(by_event))):
        event = EVENTS.mapping.read(row)
        form_of_event = form_of(event.message or "", event.log or "")
        if form_of_event.key == form:
            found.append(ReportedText(event, by_event[event.id], form_of_event))
    return found


async def events_with_log(tx: ReadTx, event_ids: Collection[str]) -> set[str]:
    """Return those of these events that have a log, without reading it."""
    query = select(events.c.id).where(events.c.id.in_(event_ids), events.c.log != "")
    return set((await tx.connection.execute(query)).scalars()) if event_ids else set()
