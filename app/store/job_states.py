"""How jobs stand now: the one read behind /v1/status, /metrics/jobs, badges and check_tocsin.

A job has the state that summaries count it under (store/summary_states.py); a test compares both. Times are whole seconds since
1970, because a scrape reads a hundred thousand jobs and an aware `datetime` for each of their times would take most of its time.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Float,
    Integer,
    Select,
    and_,
    case,
    cast,
    extract,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    type_coerce,
)

from app.domain.agent import AgentState
from app.domain.alert import AlertKind
from app.domain.canary import JOB_PREFIX
from app.domain.event import RunOutcome
from app.domain.job import JobState
from app.domain.job_status import OVERDUE_IS_MISSED_AFTER, JobCounts, PipelineState, ShownState
from app.domain.matcher import Matcher
from app.domain.service_event import AGENT
from app.store.jobs import job_matches, label_of
from app.store.tables import TROUBLE as TROUBLE_EVENT
from app.store.tables import agents, alerts, customers, events, jobs, runs
from app.store.tables_managed import heartbeats
from app.store.transactions import ReadTx
from app.store.waiting import oldest_waiting_event

AT_ONCE = 1_000  # jobs in one statement: a batch holds the event loop for a few milliseconds
SET_ASIDE_MOST = 1_000  # events that were set aside are counted up to here
_RANK = {state: place for place, state in enumerate(ShownState)}
TROUBLE = (ShownState.FAILED, ShownState.MISSED, ShownState.UNCLEAR, ShownState.WARNING)


@dataclass(frozen=True, slots=True)
class JobChoice:
    """Which jobs are asked for. `customer_id` None: of every customer; all matchers must be met."""

    customer_id: str | None = None
    matchers: tuple[Matcher, ...] = ()
    states: tuple[ShownState, ...] = ()  # empty: any
    job_id: str | None = None

    def in_states(self, states: tuple[ShownState, ...]) -> "JobChoice":
        """Return those of these jobs that are in one of these states."""
        return replace(self, states=states)


class JobStanding(NamedTuple):
    """One job as it stands now. Times are seconds since 1970; amounts are those of its newest ended run."""

    id: str
    customer: str
    agent: str
    job: str
    activity: str
    state: str
    failing_since: int | None
    last_run_at: int | None
    last_success_at: int | None
    last_came_at: int | None
    running_since: int | None
    next_due_at: int | None
    overdue_at: int | None
    failures_in_row: int
    warnings_in_row: int
    missed_in_row: int
    last_outcome: str | None
    message: str | None
    duration_s: float | None
    bytes_processed: float | None
    bytes_stored: float | None
    files: float | None
    labels: tuple[str, ...]  # the values of the labels that were asked for


async def count_jobs(tx: ReadTx, choice: JobChoice, now: datetime) -> tuple[JobCounts, datetime | None]:
    """Return how many of the jobs are in each state, and when the newest report of their agents came."""
    state = _state(now)
    query = _joined(
        state.label("state"),
        func.count().label("number"),
        func.sum(case((jobs.c.overdue_at <= now, 1), else_=0)).label("overdue"),
        func.sum(case((jobs.c.running_since.is_not(None), 1), else_=0)).label("running"),
        func.max(agents.c.last_heard_at).label("heard_at"),
    )
    rows = (await tx.connection.execute(query.where(*_conditions(choice, now)).group_by(text("1")))).all()
    numbers = {row.state: row.number for row in rows}
    counts = JobCounts(
        **numbers,
        overdue=sum(row.overdue for row in rows),
        running=sum(row.running for row in rows),
        silent_agents=await count_silent(tx, choice),
    )
    return counts, max((row.heard_at for row in rows if row.heard_at is not None), default=None)


async def count_by_customer(tx: ReadTx, choice: JobChoice, now: datetime) -> list[tuple[str, str, int]]:
    """Return how many of the jobs each customer has in each state: (name of the customer, state, number)."""
    query = _joined(customers.c.name, _state(now).label("state"), func.count())
    rows = await tx.connection.execute(query.where(*_conditions(choice, now)).group_by(text("1"), text("2")))
    return [(row[0], row[1], row[2]) for row in rows]


async def worst_jobs(tx: ReadTx, choice: JobChoice, now: datetime, limit: int) -> list[JobStanding]:
    """Return the jobs in trouble, the worst first and among equals the one that fails longest."""
    rank = case({state.value: place for state, place in _RANK.items()}, value=_state(now))
    bad = _state(now).in_([state.value for state in TROUBLE])
    query = _standings(tx, now, ()).where(*_conditions(choice, now), _may_be_in_trouble(now), bad)
    query = query.order_by(rank, jobs.c.failing_since, jobs.c.id).limit(limit)
    return [_read(row) for row in await tx.connection.execute(query)]


async def page_standings(
    tx: ReadTx,
    choice: JobChoice,
    now: datetime,
    *,
    after: str = "",
    limit: int = AT_ONCE,
    labels: Sequence[str] = (),
) -> list[JobStanding]:
    """Return up to `limit` of the jobs in the order of their ids, after one."""
    query = _standings(tx, now, labels).where(*_conditions(choice, now), jobs.c.id > after)
    return [_read(row) for row in await tx.connection.execute(query.order_by(jobs.c.id).limit(limit))]


async def each_standing(
    tx: ReadTx, choice: JobChoice, now: datetime, labels: Sequence[str] = ()
) -> AsyncGenerator[list[JobStanding], None]:
    """Yield the jobs in batches."""
    query = _standings(tx, now, labels).where(*_conditions(choice, now))
    # By a cursor of the database, in whatever order is quickest: page by page, PostgreSQL would join and sort all jobs for each page.
    async with tx.connection.stream(query) as found:
        async for batch in found.partitions(AT_ONCE):
            yield [_read(row) for row in batch]


async def read_pipeline_state(tx: ReadTx, customer_id: str | None = None) -> PipelineState:
    """Return whether the states of a customer's jobs, or of all, are up to date."""
    seen: datetime | None = await tx.connection.scalar(select(func.max(heartbeats.c.at)))
    # A failure that was set aside changed no job. It counts until a later run of its job has ended.
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
    aside = events.c.state == literal_column("'set_aside'"), text(TROUBLE_EVENT), ~is_followed
    some = select(events.c.id).where(*aside).limit(SET_ASIDE_MOST)
    if customer_id is not None:
        some = some.where(events.c.customer_id == customer_id)
    set_aside = await tx.connection.scalar(select(func.count()).select_from(some.subquery()))
    return PipelineState(seen, await oldest_waiting_event(tx), int(set_aside or 0))


async def count_silent(tx: ReadTx, choice: JobChoice) -> int:
    """Return how many agents of the jobs have an open alert because they are silent."""
    of_choice = _joined(jobs.c.id).where(
        jobs.c.agent_id == alerts.c.agent_id, job_matches(choice.customer_id, choice.matchers)
    )
    query = select(func.count(alerts.c.agent_id.distinct())).where(
        text("alerts.closed_at IS NULL"), alerts.c.kind == AlertKind.AGENT_SILENT
    )
    if choice.matchers or choice.job_id is not None:
        query = query.where(of_choice.correlate(alerts).exists())
    elif choice.customer_id is not None:
        query = query.where(alerts.c.customer_id == choice.customer_id)
    return int(await tx.connection.scalar(query) or 0)


def _may_be_in_trouble(now: datetime) -> ColumnElement[bool]:
    """Return a condition that indexes answer, and that every job in trouble meets: most jobs are well, and need not be read."""
    return or_(
        jobs.c.state != JobState.OK, jobs.c.overdue_at <= now - OVERDUE_IS_MISSED_AFTER, jobs.c.id.in_(_unclear_jobs())
    )


def _unclear_jobs() -> Select[tuple[str]]:
    # Few alerts about unclear texts are open at a time, so they are looked up once and not for each job.
    return select(alerts.c.subject_id).where(text("alerts.closed_at IS NULL"), alerts.c.kind == AlertKind.UNCLEAR)


def _state(now: datetime) -> ColumnElement[str]:
    """Return the state of a job: the conditions of `summary_states.job_states` for a period that ends now."""
    is_excused = and_(jobs.c.state == JobState.MISSED, jobs.c.dismissed_at.is_not(None))
    # A worker that stopped calls nothing missed: what is long overdue must not look well until it runs again.
    is_missed = or_(jobs.c.state == JobState.MISSED, jobs.c.overdue_at <= now - OVERDUE_IS_MISSED_AFTER)
    return case(
        (jobs.c.failures_in_row > 0, ShownState.FAILED.value),
        (and_(is_missed, ~is_excused), ShownState.MISSED.value),
        (jobs.c.id.in_(_unclear_jobs()), ShownState.UNCLEAR.value),
        (
            or_(jobs.c.state == JobState.WARNING, and_(is_excused, jobs.c.warnings_in_row > 0)),
            ShownState.WARNING.value,
        ),
        (or_(jobs.c.state == JobState.OK, is_excused), ShownState.OK.value),
        else_=ShownState.NEW.value,
    )


def _conditions(choice: JobChoice, now: datetime) -> list[ColumnElement[bool]]:
    # As in summaries: what reports lost canaries is shown while mail is lost only, and an agent that nobody approved adds nothing
    # to what looks well.
    is_well = jobs.c.state == JobState.OK.value
    is_well_way = and_(agents.c.name == AGENT, jobs.c.name.startswith(JOB_PREFIX, autoescape=True), is_well)
    is_counted = or_(
        agents.c.state == AgentState.APPROVED.value, and_(agents.c.state == AgentState.WAITING.value, ~is_well)
    )
    found = [is_counted, ~is_well_way, job_matches(choice.customer_id, choice.matchers)]
    if choice.states:
        found.append(_state(now).in_([state.value for state in choice.states]))
    if choice.job_id is not None:
        found.append(jobs.c.id == choice.job_id)
    return found


def _joined(*columns: Any) -> Select[Any]:  # noqa: ANN401  (whatever can be selected)
    return (
        select(*columns)
        .select_from(jobs)
        .join(agents, agents.c.id == jobs.c.agent_id)
        .join(customers, customers.c.id == jobs.c.customer_id)
    )


def _standings(tx: ReadTx, now: datetime, labels: Sequence[str]) -> Select[Any]:
    """Return the query of jobs as JobStanding has them."""

    def seconds(moment: Column[datetime]) -> ColumnElement[int]:
        if tx.is_sqlite:
            return type_coerce(moment, BigInteger).op("/")(literal(1_000_000, Integer))
        return cast(func.floor(extract("epoch", moment)), BigInteger)

    def amount(name: str) -> ColumnElement[float]:
        number: ColumnElement[float] = runs.c.metrics[name].as_float()
        return number

    took = seconds(runs.c.ended_at) - seconds(runs.c.started_at)
    columns: list[ColumnElement[Any]] = [
        jobs.c.id,
        customers.c.name,
        agents.c.name,
        jobs.c.name,
        jobs.c.activity,
        _state(now),
        *(
            seconds(jobs.c[name])
            for name in (
                "failing_since",
                "last_finished_at",
                "last_success_at",
                "last_came_at",
                "running_since",
                "next_due_at",
                "overdue_at",
            )
        ),
        jobs.c.failures_in_row,
        jobs.c.warnings_in_row,
        jobs.c.missed_in_row,
        jobs.c.last_outcome,
        jobs.c.last_message,
        func.coalesce(amount("duration_s"), cast(took, Float)),
        amount("bytes_processed"),
        amount("bytes_stored"),
        amount("files_processed"),
        *(label_of(name) for name in labels),
    ]
    # A run that was missed has neither duration nor amounts.
    ran = and_(runs.c.id == jobs.c.last_run_id, runs.c.outcome != RunOutcome.MISSED)
    named = [column.label(f"c{place}") for place, column in enumerate(columns)]
    return _joined(*named).outerjoin(runs, ran)


_OWN = len(JobStanding._fields) - 1


def _read(row: Sequence[Any]) -> JobStanding:
    return JobStanding._make((*row[:_OWN], tuple(row[_OWN:])))
