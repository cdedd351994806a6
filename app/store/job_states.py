"""The state of jobs: the conditions that everything shows it by, and the read of how all jobs stand now.

Pages, summaries, /v1/status, /metrics/jobs, badges and check_tocsin use these conditions. A state depends on runs and expectations only.
Whether an alert is open depends on rules and on people too, and must not change a state: a failure without an alert would look like a
success. Times of statuses are whole seconds since 1970, because a scrape reads a hundred thousand jobs and an aware `datetime` for each
of their times would take most of its time.
"""

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Float,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    true,
    type_coerce,
    union,
    union_all,
)

from app.domain.agent import AgentState
from app.domain.alert import AlertKind
from app.domain.canary import JOB_PREFIX
from app.domain.event import PROVEN, RunOutcome
from app.domain.job import JobState
from app.domain.job_status import LATE_IS_KNOWN_AFTER, JobCounts, ShownState, total_of
from app.domain.matcher import Matcher
from app.domain.service_event import AGENT
from app.store.alerts import Customers, only
from app.store.jobs import job_matches, label_of
from app.store.prepared import Prepared
from app.store.tables import JOB_TO_READ, agents, alerts, customers, jobs, runs
from app.store.transactions import ReadTx
from app.store.types import Utc

Moment = datetime | ColumnElement[datetime]  # a time, or the parameter of a prepared statement
_IS_WELL = and_(
    jobs.c.state == JobState.OK.value,
    jobs.c.unclear_at.is_(None),
    jobs.c.overrun_since.is_(None),
    jobs.c.late_failure_at.is_(None),
)
# An agent that nobody approved must not add to what looks well, and its trouble is reported all the same. The job under which lost
# canaries are reported is shown while mail is lost, and does not count as a backup afterwards.
IS_COUNTED = and_(
    or_(
        agents.c.state == AgentState.APPROVED.value,
        and_(agents.c.state == AgentState.WAITING.value, ~_IS_WELL),
    ),
    ~and_(agents.c.name == AGENT, jobs.c.name.startswith(JOB_PREFIX, autoescape=True), _IS_WELL),
)
_STATE_AFTER = {
    RunOutcome.SUCCESS.value: JobState.OK.value,
    RunOutcome.WARNING.value: JobState.WARNING.value,
    RunOutcome.FAILURE.value: JobState.FAILED.value,
    RunOutcome.MISSED.value: JobState.MISSED.value,
}


def joined_jobs(*columns: Any) -> Select[Any]:  # noqa: ANN401  (whatever can be selected)
    """Return a query of jobs with their agents and customers."""
    return (
        select(*columns)
        .select_from(jobs)
        .join(agents, agents.c.id == jobs.c.agent_id)
        .join(customers, customers.c.id == jobs.c.customer_id)
    )


def may_differ(at: datetime) -> ColumnElement[bool]:
    """Return a condition that indexes answer: for a job that does not meet it, the column `state` is ok or new, and is what is shown."""
    watched = select(jobs.c.id).where(literal_column(JOB_TO_READ))
    overdue = select(jobs.c.id).where(jobs.c.overdue_at <= at)
    return jobs.c.id.in_(union(watched, overdue))


def state_now(at: datetime) -> ColumnElement[str]:
    """Return the state of a job, of which no run ended after this moment."""
    return _state_now(at, at - LATE_IS_KNOWN_AFTER)


def _state_now(at: Moment, late_since: Moment) -> ColumnElement[str]:
    return _worst_first(
        failed=or_(jobs.c.failures_in_row > 0, jobs.c.late_failure_at.is_not(None)),
        decisive=jobs.c.state,
        # A worker that stopped notices nothing: what is late for long must not look well until it runs again.
        is_late=func.coalesce(jobs.c.overdue_at <= late_since, False),
        overrun=or_(
            jobs.c.overrun_since <= at,
            jobs.c.id.in_(select(runs.c.job_id).where(runs.c.overrun_at <= late_since)),
        ),
        unclear=jobs.c.unclear_at.is_not(None),
    )


def state_at(at: Moment, late_since: Moment) -> ColumnElement[str]:
    """Return the state of a job at a moment that may be past. Where a run ended since, it is looked up in the runs until then.

    `late_since` is LATE_IS_KNOWN_AFTER before that moment.
    """
    # Only in the alerts is kept what took too long and has ended since.
    hung = exists().where(
        alerts.c.subject_id == jobs.c.id,
        alerts.c.kind == AlertKind.OVERRUN,
        alerts.c.opened_at <= at,
        or_(alerts.c.closed_at.is_(None), alerts.c.closed_at > at),
    )
    newest = _outcome_at(at, *PROVEN, RunOutcome.UNCLEAR)
    then = _worst_first(
        failed=_outcome_at(at, *PROVEN) == RunOutcome.FAILURE.value,
        decisive=case(
            _STATE_AFTER,
            value=_outcome_at(at, *(RunOutcome(name) for name in _STATE_AFTER)),
            else_=JobState.NEW.value,
        ),
        is_late=literal_column("1 = 0"),
        overrun=hung,
        unclear=newest == RunOutcome.UNCLEAR.value,
    )
    return case((is_changed_since(at), then), else_=_state_now(at, late_since))


def is_silent(at: Moment) -> ColumnElement[bool]:
    """Return whether an agent counts as silent at this moment."""
    return and_(agents.c.silent_since <= at, agents.c.state == AgentState.APPROVED.value)


def is_changed_since(at: Moment) -> ColumnElement[bool]:
    """Return whether a run of the job ended after this moment."""
    return func.coalesce(jobs.c.last_finished_at > at, False)


def _worst_first(
    *,
    failed: ColumnElement[bool],
    decisive: ColumnElement[str],
    is_late: ColumnElement[bool],
    overrun: ColumnElement[bool],
    unclear: ColumnElement[bool],
) -> ColumnElement[str]:
    # A missed job whose expectation an administrator dismissed counts as its last run ended, or it would stay missed for ever.
    is_excused = and_(decisive == JobState.MISSED.value, jobs.c.dismissed_at.is_not(None))
    is_missed = or_(decisive == JobState.MISSED.value, is_late)
    return case(
        (failed, ShownState.FAILED.value),
        (and_(is_missed, ~is_excused), ShownState.MISSED.value),
        (overrun, ShownState.OVERRUN.value),
        (unclear, ShownState.UNCLEAR.value),
        (
            or_(decisive == JobState.WARNING.value, and_(is_excused, jobs.c.warnings_in_row > 0)),
            ShownState.WARNING.value,
        ),
        (or_(decisive == JobState.OK.value, is_excused), ShownState.OK.value),
        else_=ShownState.NEW.value,
    )


def _outcome_at(at: Moment, *outcomes: RunOutcome) -> ColumnElement[str | None]:
    """Return the outcome of the job's newest run of these outcomes that had ended by this moment."""
    ended = runs.c.job_id == jobs.c.id, runs.c.ended_at <= at, runs.c.outcome.in_(outcomes)
    newest = select(runs.c.outcome).where(*ended).order_by(runs.c.ended_at.desc(), runs.c.run_key.desc()).limit(1)
    return newest.correlate(jobs).scalar_subquery()


AT_ONCE = 400  # jobs in one batch: it holds the event loop for a few milliseconds
FAILING_SINCE = func.coalesce(jobs.c.failing_since, jobs.c.late_failure_at)
TROUBLE = (ShownState.FAILED, ShownState.MISSED, ShownState.OVERRUN, ShownState.UNCLEAR, ShownState.WARNING)


@dataclass(frozen=True, slots=True)
class JobChoice:
    """Which jobs are asked for. `customer_ids` None: of every customer; all `matchers` must be met,
    and one of `any_of` if there are any.
    """

    customer_ids: tuple[str, ...] | None = None
    matchers: tuple[Matcher, ...] = ()
    states: tuple[ShownState, ...] = ()  # empty: any
    job_id: str | None = None
    any_of: tuple[Matcher, ...] = ()

    @property
    def tests_jobs(self) -> bool:
        """Whether more than the customer decides which jobs are meant."""
        return bool(self.matchers or self.any_of or self.job_id)

    def in_states(self, states: tuple[ShownState, ...]) -> "JobChoice":
        """Return those of these jobs that are in one of these states."""
        return replace(self, states=states)


class JobStatus(NamedTuple):
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


@dataclass(slots=True)
class _Counted:
    """What is counted of one customer, by state; `overdue` and `running` are counted in their states too."""

    states: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ShownState, 0))
    overdue: int = 0
    running: int = 0


async def count_by_customer(tx: ReadTx, choice: JobChoice, now: datetime) -> dict[str, JobCounts]:
    """Return how many of the jobs each customer has in each state, by the customer's id. Silent agents are not counted here."""
    is_chosen = choice.tests_jobs or bool(choice.states)
    rows: Iterable[Sequence[Any]]
    if is_chosen:
        rows = await tx.connection.execute(
            _in_states(now, now - LATE_IS_KNOWN_AFTER, is_joined=True).where(*conditions_of(choice, now))
        )
    elif choice.customer_ids is None:
        rows = await tx.fetch(_EVERY_JOB, at=now, late_since=now - LATE_IS_KNOWN_AFTER)
    else:
        rows = await tx.connection.execute(_all_in_states(choice.customer_ids, now, now - LATE_IS_KNOWN_AFTER))
    found: dict[str, _Counted] = {}
    for customer_id, instead_of, shown, is_counted, number, overdue, running in rows:
        if number == 0:
            continue
        counted = found.setdefault(customer_id, _Counted())
        if instead_of in _AS_STORED and not is_chosen:
            counted.states[instead_of] -= number
        if is_counted:
            counted.states[shown] += number
            counted.overdue += overdue
            counted.running += running
    return {
        customer_id: JobCounts(**one.states, overdue=one.overdue, running=one.running)
        for customer_id, one in found.items()
    }


# For the column itself, SQLite reads an index that has all jobs in the order of their customers, and not the one of the wanted jobs.
_CUSTOMER = jobs.c.customer_id.concat("")
_AS_STORED = ShownState.OK.value, ShownState.NEW.value  # states of which an index counts the jobs


def _all_in_states(customer_ids: Customers, at: Moment, late_since: Moment) -> CompoundSelect[Any]:
    """Return the query that counts all jobs. Most are well, and of these an index is read and no row: they are in the state of their column.

    The others are taken out of these numbers, and counted as they are shown. An index finds them, and agents are read only where
    they decide whether a job is counted. It is one statement, so that no job is counted twice that changes meanwhile.
    """
    zero: ColumnElement[int] = literal_column("0")
    # Counted for each customer and state, not grouped: SQLite takes half as long to count a range of the index.
    states = union_all(*(select(literal_column(f"'{state}'").label("state")) for state in _AS_STORED)).subquery(
        "states"
    )
    same = jobs.c.customer_id == customers.c.id, jobs.c.state == states.c.state
    in_state = select(func.count()).select_from(jobs).where(*same).correlate(customers, states).scalar_subquery()
    well = select(
        customers.c.id.label("customer_id"),
        literal_column("''").label("instead_of"),
        states.c.state.label("shown"),
        literal_column("1").label("is_counted"),
        in_state.label("number"),
        zero.label("overdue"),
        zero.label("running"),
    ).select_from(customers.join(states, true()))
    may_not_count = select(agents.c.id).where(or_(literal_column("agents.state <> 'approved'"), agents.c.name == AGENT))
    of_others = jobs.c.agent_id.not_in(may_not_count)
    to_read: ColumnElement[bool] = literal_column(JOB_TO_READ)
    is_of_customer = only(customer_ids, jobs.c.customer_id)
    overdue = jobs.c.overdue_at <= at, *only(customer_ids, _CUSTOMER)
    some, joined = _in_states(at, late_since), _in_states(at, late_since, is_joined=True)
    return union_all(
        well.where(*only(customer_ids, customers.c.id)),
        some.where(of_others, to_read, *is_of_customer),
        some.where(of_others, ~to_read, *overdue),
        joined.where(jobs.c.agent_id.in_(may_not_count), *is_of_customer),
    )


def _in_states(at: Moment, late_since: Moment, *, is_joined: bool = False) -> Select[Any]:
    """Return a query that counts jobs as they are shown, with the state of their column; if `is_joined`, with their agents and customers."""
    columns = (
        _CUSTOMER.label("customer_id"),
        jobs.c.state.label("instead_of"),
        _state_now(at, late_since).label("shown"),
        (case((IS_COUNTED, 1), else_=0) if is_joined else literal_column("1")).label("is_counted"),
        func.count().label("number"),
        func.sum(case((jobs.c.overdue_at <= at, 1), else_=0)).label("overdue"),
        func.sum(case((jobs.c.running_since.is_not(None), 1), else_=0)).label("running"),
    )
    return (joined_jobs(*columns) if is_joined else select(*columns)).group_by(*map(text, "1234"))


# All jobs are counted again and again, while somebody looks at a page.
_EVERY_JOB = Prepared(
    lambda _: _all_in_states(None, bindparam("at", type_=Utc), bindparam("late_since", type_=Utc)),
)


async def count_jobs(tx: ReadTx, choice: JobChoice, now: datetime) -> JobCounts:
    """Return how many of the jobs are in each state."""
    total = total_of((await count_by_customer(tx, choice, now)).values())
    return replace(total, silent_agents=await count_silent(tx, choice, now))


async def newest_report(tx: ReadTx, choice: JobChoice) -> datetime | None:
    """Return when the newest report came of the agents of these jobs."""
    query = select(func.max(agents.c.last_heard_at)).where(_is_asked_for(choice))
    found: datetime | None = await tx.connection.scalar(query)
    return found


def rank_of_state(now: datetime) -> ColumnElement[int]:
    """Return the place of a job's state among all states, the worst first."""
    return case({state.value: place for place, state in enumerate(ShownState)}, value=state_now(now))


async def worst_jobs(tx: ReadTx, choice: JobChoice, now: datetime, limit: int) -> list[JobStatus]:
    """Return the jobs in trouble, the worst first and among equals the one that fails longest."""
    rank = rank_of_state(now)
    bad = state_now(now).in_([state.value for state in TROUBLE])
    query = _statuses(tx, now, ()).where(*conditions_of(choice, now), may_differ(now), bad)
    query = query.order_by(rank, FAILING_SINCE, jobs.c.id).limit(limit)
    return [_read_status(row) for row in await tx.connection.execute(query)]


async def page_job_statuses(
    tx: ReadTx,
    choice: JobChoice,
    now: datetime,
    *,
    after: str = "",
    limit: int = AT_ONCE,
    labels: Sequence[str] = (),
) -> list[JobStatus]:
    """Return up to `limit` of the jobs in the order of their ids, after one."""
    query = _statuses(tx, now, labels).where(*conditions_of(choice, now), jobs.c.id > after)
    return [_read_status(row) for row in await tx.connection.execute(query.order_by(jobs.c.id).limit(limit))]


async def each_job_status(
    tx: ReadTx, choice: JobChoice, now: datetime, labels: Sequence[str] = ()
) -> AsyncGenerator[list[JobStatus], None]:
    """Yield the jobs in batches."""
    query = _statuses(tx, now, labels).where(*conditions_of(choice, now))
    # By a cursor of the database, in whatever order is quickest: page by page, PostgreSQL would join and sort all jobs for each page.
    async with tx.connection.stream(query) as found:
        async for batch in found.partitions(AT_ONCE):
            yield [_read_status(row) for row in batch]


async def count_silent(tx: ReadTx, choice: JobChoice, now: datetime) -> int:
    """Return how many agents of the jobs are silent; of all jobs or of a customer, also those that never had a job."""
    query = select(func.count()).where(is_silent(now), _is_asked_for(choice))
    return int(await tx.connection.scalar(query) or 0)


def _is_asked_for(choice: JobChoice) -> ColumnElement[bool]:
    """Return whether an agent has such jobs; of all jobs or of a customer, also one that never had a job."""
    if choice.tests_jobs:
        return agents.c.id.in_(joined_jobs(jobs.c.agent_id).where(*_chosen(choice)))
    return and_(true(), *only(choice.customer_ids, agents.c.customer_id))


def conditions_of(choice: JobChoice, now: datetime) -> list[ColumnElement[bool]]:
    """Return the conditions that the jobs of a choice meet, in a query of `joined_jobs`."""
    found = [IS_COUNTED, *_chosen(choice)]
    if choice.states:
        found.append(state_now(now).in_([state.value for state in choice.states]))
    return found


def _chosen(choice: JobChoice) -> list[ColumnElement[bool]]:
    found = [job_matches(None, choice.matchers), *only(choice.customer_ids, jobs.c.customer_id)]
    if choice.any_of:
        found.append(or_(*(job_matches(None, (matcher,)) for matcher in choice.any_of)))
    if choice.job_id is not None:
        found.append(jobs.c.id == choice.job_id)
    return found


def _statuses(tx: ReadTx, now: datetime, labels: Sequence[str]) -> Select[Any]:
    """Return the query of jobs as JobStatus has them."""

    def seconds(moment: ColumnElement[datetime]) -> ColumnElement[int]:
        if tx.is_sqlite:
            return type_coerce(moment, BigInteger).op("/")(literal(1_000_000, Integer))
        # As a float: the exact numbers of `extract` take several times as long.
        return cast(func.floor(func.date_part("epoch", moment)), BigInteger)

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
        state_now(now),
        seconds(FAILING_SINCE),
        *(
            seconds(jobs.c[name])
            for name in (
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
    return joined_jobs(*named).outerjoin(runs, ran)


_OWN = len(JobStatus._fields) - 1


def _read_status(row: Sequence[Any]) -> JobStatus:
    return JobStatus._make((*row[:_OWN], tuple(row[_OWN:])))
