"""Events that wait to be decided on: claimed by turns, trouble first, with a bounded amount of work to find them.

Each waiting event is in one of two partial indexes, by customer, agent and id. From them the next customers, the next agents of each
and the first events of each agent are looked up, one entry each. So the cost depends neither on how much waits nor on how many
customers and agents there are.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import (
    Column,
    Integer,
    Select,
    String,
    and_,
    any_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ColumnElement

from app.domain.event import Activity, Event, EventKind, Phase, RunOutcome, Severity
from app.domain.turns import MOST_CUSTOMERS, Turns, share_by_agent, share_by_rank
from app.store.prepared import Builder, Prepared, Together, Values
from app.store.row_mapping import UNREADABLE, member_reader
from app.store.tables import NEW, TROUBLE, customers, events
from app.store.transactions import ReadTx, WriteTx

# A clock that is further ahead must not hide what follows: a success from tomorrow would outrank tonight's failures.
CLOCKS_DIFFER = timedelta(minutes=5)
# The conditions of the partial indexes, spelled out: SQLite uses such an index only where its condition stands in the query.
_NEW = text(NEW)
_TROUBLE = and_(text(NEW), text(TROUBLE))
_ROUTINE = and_(text(NEW), text("NOT " + TROUBLE))
# In the order in which `_read` takes them. Logs are long, and no decision depends on them.
_COLUMNS = (
    *("id", "customer_id", "agent_id", "key", "occurred_at", "received_at", "kind", "job", "run", "activity", "phase"),
    *("outcome", "severity", "message", "metrics", "labels", "extra", "flags"),
)
_AGENT, _JOB, _ACTIVITY = _COLUMNS.index("agent_id"), _COLUMNS.index("job"), _COLUMNS.index("activity")
_ROWS = select(*(events.c[name] for name in _COLUMNS))
_IN_ORDER = events.c.customer_id, events.c.agent_id, events.c.id
_LIMIT = bindparam("limit", type_=Integer)
# What may answer a failure or belong to its run: an end that is no trouble, or a start.
MOST_ANSWERS = 64  # of one outcome of a job, among which the newest one is looked for
_ANSWERS = (RunOutcome.SUCCESS.value, RunOutcome.WARNING.value, RunOutcome.CANCELLED.value)


# Events that are claimed together if trouble is among them: its alerts leave once all of them are decided on.
MOST_WITH_TROUBLE = 96
FIRST_PIECE = 24  # events that are claimed together before anything is known of what they cost


@dataclass(slots=True)
class ClaimTurns:
    """Whose turn it is among those who have trouble and among those who have routine, and how many events are claimed at a time. One a process.

    `is_behind`: more waited than was claimed at once. `reminded_at`: when what falls due by the clock was looked for, by the clock of
    the process.
    """

    trouble: Turns = field(default_factory=Turns)
    routine: Turns = field(default_factory=Turns)
    has_begun: bool = False
    piece: int = FIRST_PIECE
    is_behind: bool = False
    reminded_at: float = float("-inf")


@dataclass(frozen=True, slots=True)
class ClaimedEvents:
    """Events that were claimed; `unreadable`: why others could not be read, by their ids; `is_all`: nothing else waited."""

    events: Sequence[Event] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    is_all: bool = False

    @property
    def ids(self) -> list[str]:
        """The ids of all of them."""
        return [*(event.id for event in self.events), *self.unreadable]


class _Rank:
    """The statements that find and claim what waits of one rank: trouble, or routine."""

    def __init__(self, rank: ColumnElement[bool]) -> None:
        self.all = Prepared(partial(_build_all, rank))
        self.customers = Prepared(partial(_build_next_customers, rank))
        self.agents = Prepared(partial(_build_next_agents, rank))
        self.firsts = Prepared(partial(_build_first_of_each, rank))


async def find_by_indexes(tx: WriteTx, *, in_order: bool) -> None:
    """Have PostgreSQL find rows by an index until the transaction ends; `in_order`: and in the order of that index.

    It keeps the plan of a prepared statement, for up to a minute after a table has begun to grow. A plan that reads the whole table
    makes the first night of a new database cost the square of its events. And its statistics come from a time when nothing waited, so
    it would read and sort all that waits to find the first of it. Other statements may have to sort few rows.
    """
    if not tx.is_sqlite:
        await tx.fetch(_BY_INDEXES, sorting="off" if in_order else "on")


# What `find_by_indexes` sets for a claim, to be sent with the BEGIN of a transaction.
IN_ORDER = "SET LOCAL enable_seqscan TO off;SET LOCAL enable_sort TO off;"


async def claim_events(tx: WriteTx, turns: ClaimTurns, limit: int, *, is_in_order: bool = False) -> ClaimedEvents:
    """Claim up to `limit` waiting events until the transaction ends, and with trouble what else waits of the same jobs and may answer it.

    `is_in_order`: `IN_ORDER` is set already.
    """
    if not is_in_order:
        await find_by_indexes(tx, in_order=True)
    is_first = is_in_order and not tx.is_sqlite
    most = {"most": limit, "most_with_trouble": min(limit, MOST_WITH_TROUBLE)}
    numbers, rows = _FIRST if is_first else _NEXT, list[Values]()
    if turns.is_behind:  # most likely still: counting twice would take longer than a turn
        [(trouble, routine, *_)] = await tx.fetch(numbers.reads[0], limit=limit + 1)
    else:
        [(trouble, routine, *_)], rows = await tx.fetch_together(numbers, limit=limit + 1, **most)
    if trouble:
        limit = most["most_with_trouble"]
    was_behind, turns.is_behind = turns.is_behind, trouble + routine > limit
    if not turns.is_behind:
        if was_behind and trouble + routine:
            rows = await tx.fetch(_ALL, limit=limit)
        if not is_first:
            await find_by_indexes(tx, in_order=False)
        return _read_all(rows, is_all=True)
    if is_first:
        await find_by_indexes(tx, in_order=True)
    if not turns.has_begun:
        await _begin(tx, turns)
    most_trouble, most_routine = share_by_rank(trouble, routine, limit)
    of_trouble = await _claim_rank(tx, _OF_TROUBLE, turns.trouble, trouble, most_trouble)
    of_routine = await _claim_rank(tx, _OF_ROUTINE, turns.routine, routine, most_routine)
    await find_by_indexes(tx, in_order=False)
    rows = [*of_trouble, *await _claim_answers(tx, of_trouble), *of_routine]
    return _read_all({row[0]: row for row in rows}.values())


def _build_count(may_sort_then: bool, _: Builder) -> Select[Any]:  # noqa: FBT001
    """Count how much trouble and how much routine waits, up to a limit. `may_sort_then`: and let later statements sort, without a turn for that."""
    columns: list[ColumnElement[Any]] = [*_counts()]
    if may_sort_then:
        columns.append(func.set_config("enable_sort", "on", true()))
    return select(*columns)


def _counts() -> list[ColumnElement[int]]:
    # In the order of the index: otherwise PostgreSQL may read the table from its start.
    some = [
        select(events.c.id).where(rank).order_by(*_IN_ORDER).limit(_LIMIT).subquery() for rank in (_TROUBLE, _ROUTINE)
    ]
    return [select(func.count()).select_from(rank).scalar_subquery() for rank in some]


def _build_few(_: Builder) -> Select[Values]:
    """Claim all that waits unless it is more than `most`, or with trouble among it more than `most_with_trouble`: then nothing."""
    most = bindparam("most", type_=Integer)
    trouble, routine = _counts()
    number = select(trouble.label("trouble"), (trouble + routine).label("all")).cte("number")
    number = number.prefix_with("MATERIALIZED", dialect="postgresql")  # or it counts trouble twice
    is_few = number.c.all <= case((number.c.trouble > 0, bindparam("most_with_trouble", type_=Integer)), else_=most)
    few = _ROWS.where(_NEW, select(number.c.all).where(is_few).exists()).order_by(events.c.id)
    return few.limit(most).with_for_update(skip_locked=True)


async def _begin(tx: ReadTx, turns: ClaimTurns) -> None:
    """Begin anywhere: where a process ends after each second, those who come last in the order would else never have a turn."""
    anybody = await tx.connection.scalar(select(customers.c.id).order_by(func.random()).limit(1))
    turns.trouble.customer_id = turns.routine.customer_id = anybody or ""
    turns.has_begun = True


def _build_all(rank: ColumnElement[bool] | None, _: Builder) -> Select[Values]:
    due = _ROWS.where(_NEW).order_by(events.c.id) if rank is None else _ROWS.where(rank).order_by(*_IN_ORDER)
    return due.limit(_LIMIT).with_for_update(skip_locked=True)


async def _claim_rank(tx: WriteTx, rank: _Rank, turns: Turns, waiting: int, limit: int) -> list[Values]:
    if waiting <= limit:
        return await tx.fetch(rank.all, limit=limit) if waiting else []
    agents = await _next_agents(tx, rank, turns, limit)
    found: list[Values] = []
    for most, some in share_by_agent(agents, limit).items():
        found += await tx.fetch(rank.firsts, wanted=some, limit=most)
    turns.pass_on(agents)
    return found


async def _next_agents(tx: ReadTx, rank: _Rank, turns: Turns, limit: int) -> dict[str, list[str]]:
    """Return the agents that have their turn, by customer."""
    most = min(limit, MOST_CUSTOMERS)
    chosen = [row[0] for row in await tx.fetch(rank.customers, after=turns.customer_id, limit=most)]
    if len(chosen) < most and turns.customer_id:
        again = await tx.fetch(rank.customers, after="", limit=most - len(chosen))
        chosen += [customer_id for (customer_id,) in again if customer_id not in chosen]
    each = max(1, limit // max(1, len(chosen)))
    found: dict[str, list[str]] = {customer_id: [] for customer_id in chosen}
    after = [(customer_id, turns.agents.get(customer_id, "")) for customer_id in chosen]
    for customer_id, agent_id in await tx.fetch(rank.agents, after=after, limit=each):
        found[customer_id].append(agent_id)
    short = [(customer_id, "") for customer_id, passed in after if len(found[customer_id]) < each and passed]
    for customer_id, agent_id in await tx.fetch(rank.agents, after=short, limit=each) if short else []:
        if agent_id not in found[customer_id] and len(found[customer_id]) < each:
            found[customer_id].append(agent_id)
    return {customer_id: of_customer for customer_id, of_customer in found.items() if of_customer}


def _build_next_customers(rank: ColumnElement[bool], _: Builder) -> Select[tuple[str]]:
    """Find the next customers in the order of the index, by one look into it each."""
    first = _smallest(rank, events.c.customer_id).where(events.c.customer_id > bindparam("after", type_=String))
    found = select(first.scalar_subquery().label("customer_id"), literal(1).label("number")).cte("turn", recursive=True)
    following = _smallest(rank, events.c.customer_id).where(events.c.customer_id > found.c.customer_id)
    more = select(following.correlate(found).scalar_subquery(), found.c.number + 1).where(
        found.c.customer_id.is_not(None), found.c.number < _LIMIT
    )
    found = found.union_all(more)
    return select(found.c.customer_id).where(found.c.customer_id.is_not(None))


def _build_next_agents(rank: ColumnElement[bool], db: Builder) -> Select[tuple[str, str]]:
    """Find the next agents of each customer, by one look into the index each. `after`: customers with the agent that is passed."""
    wanted = db.table("after", customer_id=String, agent_id=String)
    own = events.c.customer_id == wanted.c.customer_id
    first = _smallest(rank, events.c.agent_id).where(own, events.c.agent_id > wanted.c.agent_id)
    found = select(
        wanted.c.customer_id, first.correlate(wanted).scalar_subquery().label("agent_id"), literal(1).label("number")
    ).cte("turn", recursive=True)
    own = events.c.customer_id == found.c.customer_id
    following = _smallest(rank, events.c.agent_id).where(own, events.c.agent_id > found.c.agent_id)
    more = select(found.c.customer_id, following.correlate(found).scalar_subquery(), found.c.number + 1).where(
        found.c.agent_id.is_not(None), found.c.number < _LIMIT
    )
    found = found.union_all(more)
    return select(found.c.customer_id, found.c.agent_id).where(found.c.agent_id.is_not(None))


def _smallest(rank: ColumnElement[bool], column: ColumnElement[str]) -> Select[Any]:
    return select(column).where(rank).order_by(*_IN_ORDER).limit(1)


def _build_first_of_each(rank: ColumnElement[bool], db: Builder) -> Select[Values]:
    """Claim the first events of each of these agents, (customer, agent)."""
    wanted = db.table("wanted", customer_id=String, agent_id=String)
    own = events.c.customer_id == wanted.c.customer_id, events.c.agent_id == wanted.c.agent_id
    if db.is_sqlite:
        first = select(events.c.id).where(rank, *own).order_by(*_IN_ORDER).limit(_LIMIT).correlate(wanted)
        rows = events.alias("found")
        columns = [rows.c[name] for name in _COLUMNS]
        return select(*columns).select_from(wanted.join(rows, rows.c.id.in_(first)))
    # `= ANY`, since after `=` PostgreSQL may read all that waits by id, for each agent: where its statistics know of nothing that waits,
    # both indexes look alike. And locked where they are found, so that another worker takes the next ones instead of none.
    own = events.c.customer_id == any_(array([wanted.c.customer_id])), events.c.agent_id == wanted.c.agent_id
    some = _ROWS.where(rank, *own).order_by(*_IN_ORDER).limit(_LIMIT)
    found = some.with_for_update(skip_locked=True).correlate(wanted).lateral("found")
    return select(*found.c).select_from(wanted.join(found, literal(value=True)))


async def _claim_answers(tx: WriteTx, trouble: Sequence[Values]) -> list[Values]:
    """Claim what waits of the same jobs and may answer this trouble: their newest success, warning, cancellation and start.

    A failure that a success has followed is then decided on together with that success, as if both had come in time. Decided
    alone, because trouble comes first, it would be reported although the answer to it was already here.
    """
    jobs = sorted({(row[_AGENT], row[_JOB] or row[_ACTIVITY], row[_ACTIVITY]) for row in trouble})
    if not jobs:
        return []
    ids = await tx.fetch(_NEWEST_ANSWERS, ends=[(*job, outcome) for job in jobs for outcome in _ANSWERS], jobs=jobs)
    found = {event_id for (event_id,) in ids if event_id is not None}
    return await tx.fetch(_BY_ID, ids=sorted(found)) if found else []


def _build_newest_answers(db: Builder) -> Executable:
    of_outcomes = db.table("ends", agent_id=String, job=String, activity=String, outcome=String)
    of_jobs = db.table("jobs", agent_id=String, job=String, activity=String)
    newest: list[Select[tuple[str]]] = []
    for wanted, is_of_job, is_of_outcome in (
        (of_outcomes, events.c.job == of_outcomes.c.job, events.c.outcome == of_outcomes.c.outcome),
        (of_jobs, events.c.job == of_jobs.c.job, events.c.outcome.is_(None)),
        # An event that names no job is of the job that is called like its activity.
        (
            of_outcomes,
            and_(events.c.job.is_(None), of_outcomes.c.job == of_outcomes.c.activity),
            events.c.outcome == of_outcomes.c.outcome,
        ),
    ):
        same = events.c.agent_id == wanted.c.agent_id, events.c.activity == wanted.c.activity, is_of_job, is_of_outcome
        some = select(events.c.id, events.c.state, events.c.occurred_at).where(*same)
        some_newest = some.order_by(events.c.id.desc()).limit(MOST_ANSWERS).correlate(wanted).subquery("some")
        # By their own time: a request may bring many nights at once, and their ids are in no order.
        found = select(some_newest.c.id).where(some_newest.c.state == "new")
        found = found.order_by(some_newest.c.occurred_at.desc()).limit(1).correlate(wanted)
        newest.append(select(found.scalar_subquery().label("id")).select_from(wanted))
    return select(union_all(*newest).subquery("newest").c.id)


async def claim_by_id(tx: WriteTx, ids: Collection[str]) -> ClaimedEvents:
    """Claim those of these events that wait."""
    return _read_all(await tx.fetch(_BY_ID, ids=sorted(ids)), is_all=True)


def _build_by_id(db: Builder) -> Select[Values]:
    due = _ROWS.where(db.one_of(events.c.id, "ids"), events.c.state == "new").order_by(events.c.id)
    return due.with_for_update(skip_locked=True)


_BY_INDEXES = Prepared(
    lambda _: select(
        func.set_config("enable_seqscan", "off", true()),
        func.set_config("enable_sort", bindparam("sorting", type_=String), true()),
    )
)
_ALL, _FEW = Prepared(partial(_build_all, None)), Prepared(_build_few)
_NEXT = Together(Prepared(partial(_build_count, False)), _FEW)  # noqa: FBT003
_FIRST = Together(Prepared(partial(_build_count, True), only_on="postgresql"), _FEW)  # noqa: FBT003
_OF_TROUBLE, _OF_ROUTINE = _Rank(_TROUBLE), _Rank(_ROUTINE)
_NEWEST_ANSWERS = Prepared(_build_newest_answers)
_BY_ID = Prepared(_build_by_id)


def all_decided_until(customer_id: Column[str], agent_id: Column[str], moment: Column[datetime]) -> ColumnElement[bool]:
    """Return the condition that no event of an agent waits that was received before `moment`; the three are columns of one table.

    For each agent, by one look into each index: otherwise the backlog of one sender would delay what is reported as missing to all others.
    """
    own = events.c.customer_id == customer_id, events.c.agent_id == agent_id
    first = [
        select(events.c.received_at)
        .where(rank, *own)
        .order_by(*_IN_ORDER)
        .limit(1)
        .correlate(customer_id.table)
        .scalar_subquery()
        for rank in (_TROUBLE, _ROUTINE)
    ]
    return and_(*(or_(oldest.is_(None), oldest >= moment) for oldest in first))


async def oldest_waiting_event(tx: ReadTx) -> datetime | None:
    """Return when the oldest event that waits was received; None: nothing waits."""
    moment: datetime | None = await tx.connection.scalar(
        select(events.c.received_at).where(_NEW).order_by(events.c.id).limit(1)
    )
    return moment


async def oldest_waiting(tx: ReadTx, agents: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], datetime]:
    """Return when the oldest waiting event of each (customer, agent) was received: what seems to be missing since may only be unread."""
    found: dict[tuple[str, str], datetime] = {}
    if not agents:
        return found
    for customer_id, agent_id, *firsts in await tx.fetch(_OLDEST_OF_AGENTS, agents=sorted(agents)):
        moments = [moment for moment in firsts if moment is not None]
        if moments:
            found[customer_id, agent_id] = min(moments)
    return found


def _build_oldest_of_agents(builder: Builder) -> Executable:
    wanted = builder.table("agents", customer_id=String, agent_id=String)
    own = events.c.customer_id == wanted.c.customer_id, events.c.agent_id == wanted.c.agent_id
    firsts = (
        select(events.c.received_at).where(rank, *own).order_by(*_IN_ORDER).limit(1).correlate(wanted).scalar_subquery()
        for rank in (_TROUBLE, _ROUTINE)
    )
    return select(wanted.c.customer_id, wanted.c.agent_id, *firsts)


_OLDEST_OF_AGENTS = Prepared(_build_oldest_of_agents)


def _read_all(rows: Iterable[Values], *, is_all: bool = False) -> ClaimedEvents:
    found: list[Event] = []
    unreadable: dict[str, str] = {}
    for row in rows:
        try:
            found.append(_read(row))
        except UNREADABLE as cause:  # another version wrote it; the others are decided
            unreadable[row[0]] = f"{type(cause).__name__}: {cause}"
    return ClaimedEvents(found, unreadable, is_all)


_read_kind, _read_activity, _read_phase = member_reader(EventKind), member_reader(Activity), member_reader(Phase)
_read_outcome, _read_severity = member_reader(RunOutcome), member_reader(Severity)


def _read(row: Values) -> Event:
    event_id, customer_id, agent_id, key, occurred_at, received_at, kind, job, run, *others = row
    activity, phase, outcome, severity, message, metrics, labels, extra, flags = others
    return Event(
        id=event_id,
        customer_id=customer_id,
        agent_id=agent_id,
        key=key,
        occurred_at=min(occurred_at, received_at + CLOCKS_DIFFER),
        received_at=received_at,
        kind=_read_kind(kind),
        job=job,
        run=run,
        activity=_read_activity(activity),
        phase=None if phase is None else _read_phase(phase),
        outcome=None if outcome is None else _read_outcome(outcome),
        severity=_read_severity(severity),
        message=message,
        metrics=metrics or {},
        labels=labels or {},
        extra=extra or {},
        flags=tuple(flags or ()),
    )
