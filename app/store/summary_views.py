"""Reads the contents of summaries (`domain/mail_views.py`): how the jobs were at the end of a period. It does not word anything."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Date,
    Float,
    Select,
    String,
    Subquery,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy.sql.base import Executable

from app.domain.alert import AlertKind
from app.domain.canary import TIMES_OVER
from app.domain.event import RunOutcome
from app.domain.job import JobState, restore_state
from app.domain.mail_views import DayCell, JobLine, PeriodRuns, Section, SummaryView, Totals
from app.domain.matcher import all_match
from app.domain.notice import URGENCY_CANARY
from app.domain.route import Silence
from app.domain.summary_schedule import SummarySchedule
from app.store.agents import waiting_agents
from app.store.canaries import mail_times
from app.store.job_states import is_silent, joined_jobs
from app.store.jobs import jobs_by_id
from app.store.prepared import Builder, Prepared, Values
from app.store.routing import current_silences
from app.store.run_history import read_histories
from app.store.summaries import gap_before
from app.store.summary_jobs import SummaryJobs, read_jobs
from app.store.summary_scope import END, START, ScopedStatement, ScopeKind, SummaryScope, scope_of
from app.store.tables import agents, alerts, customers, events, job_days, jobs, messages, runs
from app.store.transactions import ReadTx

_BEFORE_DAYS = 28  # before the newest full day: those that a job of that day is compared with, four of a weekly one
_SILENT_MOST = 50  # agents that are named
_AT_ONCE = 500  # jobs whose days one query reads
_FIRST_DAY, _LAST_DAY = bindparam("first_day", type_=Date), bindparam("last_day", type_=Date)
_AMOUNTS = ("bytes_processed", "bytes_stored", "duration_s")
# The condition of an index, which SQLite wants to see in the query.
_IS_TROUBLE = runs.c.outcome != literal_column("'success'")


async def read_summary_view(
    tx: ReadTx, schedule: SummarySchedule, *, number: int, start: datetime, end: datetime
) -> SummaryView:
    """Return all that the summary of this period contains, as it was at its end.

    It is read from jobs and daily roll-ups, never from a scan of events, so its cost does not grow with the history.
    """
    scope = scope_of(schedule, start, end)
    # By default, PostgreSQL would sort the days of 100 000 jobs on disk, which takes twice as long.
    if not tx.is_sqlite:
        await tx.connection.execute(text("SET LOCAL work_mem = '64MB'"))
    found = await read_jobs(tx, scope)
    states = found.states
    [counted] = await tx.fetch(_COUNTS.of(scope), **scope.parameters())
    undelivered, bounced, set_aside, unclear_runs, waiting, *unclear_texts = counted
    return SummaryView(
        schedule=schedule.name,
        number=number,
        period_start=start,
        period_end=end,
        time_zone=schedule.time_zone,
        expected=found.expected,
        heard=found.heard,
        jobs=found.total,
        failed=states.get("failed", 0),
        missed=states.get("missed", 0),
        overrun=states.get("overrun", 0),
        unclear=states.get("unclear", 0),
        warnings=states.get("warning", 0),
        ok=states.get("ok", 0),
        new=states.get("new", 0),
        silent_agents=await _silent_agents(tx, scope),
        waiting_agents=waiting,
        without_expectation=found.without_expectation,
        unconfirmed=found.unconfirmed,
        undelivered=undelivered,
        bounced=bounced,
        set_aside=set_aside,
        totals=await _totals(tx, scope),
        unclear_runs=unclear_runs,
        unclear_texts=sum(unclear_texts),
        runs=await _period_runs(tx, scope) if scope.is_long else None,
        sections=await _sections(tx, scope, found, await current_silences(tx, end)),
        mail_times=(await mail_times(tx, end - TIMES_OVER, end)).get(""),
        unknown_numbers=await gap_before(tx, schedule.id, number),
    )


def _build_counts(kind: ScopeKind, _: Builder) -> Select[Values]:
    """Return the query of what went wrong in the period apart from the jobs, in one row: each statement takes longer than its database."""
    # The conditions of partial indexes stand as in the index, word for word: otherwise SQLite reads the whole table.
    settled = messages.c.settled_at >= START, messages.c.settled_at < END, messages.c.urgency < URGENCY_CANARY
    of_customer = kind.of_customer(messages.c.customer_id)
    set_aside = select(func.count()).where(
        text("events.state = 'set_aside'"),
        events.c.id >= bindparam("first_event", type_=String),
        events.c.id < bindparam("next_event", type_=String),
        kind.of_customer(events.c.customer_id),
    )
    unclear = runs.c.outcome == RunOutcome.UNCLEAR, _IS_TROUBLE, runs.c.id >= bindparam("first_run", type_=String)
    unclear_runs = joined_jobs(func.count()).join(runs, runs.c.job_id == jobs.c.id)
    texts = joined_jobs(func.count()).join(alerts, alerts.c.subject_id == jobs.c.id)
    texts = texts.where(alerts.c.kind == AlertKind.UNCLEAR, alerts.c.opened_at <= END, kind.matches())
    counts = (
        select(func.count()).where(text("messages.state = 'dead'"), *settled, of_customer),
        select(func.count()).where(text("messages.state = 'bounced'"), *settled, of_customer),
        set_aside,
        unclear_runs.where(kind.matches(), *unclear, runs.c.ended_at >= START, runs.c.ended_at < END),
        waiting_agents().where(kind.of_customer(agents.c.customer_id)),
        texts.where(alerts.c.closed_at.is_(None)),
        texts.where(alerts.c.closed_at > END),
    )
    return select(*(query.scalar_subquery() for query in counts))


_COUNTS = ScopedStatement(_build_counts)


async def _silent_agents(tx: ReadTx, scope: SummaryScope) -> tuple[str, ...]:
    """Return the names of the agents that were silent at the end of the period, at most 50."""
    found: set[str] = set()
    for statement in (_SILENT_NOW, _SILENT_THEN):
        found |= {name for [name] in await tx.fetch(statement.of(scope), **scope.parameters())}
    return tuple(sorted(found)[:_SILENT_MOST])


def _build_silent_now(kind: ScopeKind, _: Builder) -> Select[Values]:
    silent = select(agents.c.name).where(is_silent(END), kind.of_customer(agents.c.customer_id))
    return silent.order_by(agents.c.name).limit(_SILENT_MOST)


def _build_silent_then(kind: ScopeKind, _: Builder) -> Select[Values]:
    """Return the query of the agents that reported again after the end of the period."""
    then = alerts.c.closed_at > END, alerts.c.kind == AlertKind.AGENT_SILENT, alerts.c.opened_at <= END
    reported = select(agents.c.name).join(alerts, alerts.c.agent_id == agents.c.id).where(*then)
    return reported.where(kind.of_customer(agents.c.customer_id)).order_by(agents.c.name).limit(_SILENT_MOST)


_SILENT_NOW, _SILENT_THEN = ScopedStatement(_build_silent_now), ScopedStatement(_build_silent_then)


async def _period_runs(tx: ReadTx, scope: SummaryScope) -> PeriodRuns:
    """Return how the runs of the period ended, from the daily roll-ups."""
    days = {"first_day": scope.first_day, "last_day": scope.last_day}
    [numbers] = await tx.fetch(_PERIOD_RUNS.of(scope), **scope.parameters(), **days)
    return PeriodRuns(*(int(number or 0) for number in numbers))


def _build_period_runs(kind: ScopeKind, _: Builder) -> Select[Values]:
    query = _of_jobs(select(*(func.sum(job_days.c[name]) for name in PeriodRuns.__slots__)), kind)
    return query.where(job_days.c.day >= _FIRST_DAY, job_days.c.day <= _LAST_DAY)


_PERIOD_RUNS = ScopedStatement(_build_period_runs)


class _ListedJob(NamedTuple):
    """A job that a section lists, as it stands now."""

    id: str
    customer_id: str
    name: str
    activity: str
    labels: Mapping[str, str] | None
    state: str
    failures_in_row: int
    failing_since: datetime | None
    late_failure_at: datetime | None
    last_success_at: datetime | None
    last_finished_at: datetime | None
    last_message: str | None
    agent: str
    agent_labels: Mapping[str, str] | None
    customer: str


async def _sections(
    tx: ReadTx, scope: SummaryScope, found: SummaryJobs, silences: Sequence[Silence]
) -> tuple[Section, ...]:
    ids = sorted({job_id for listed in found.listed.values() for job_id in listed})
    listed_jobs = {job.id: job for job in map(_ListedJob._make, await tx.fetch(_LISTED_JOBS, ids=ids))}
    rows = {title: [listed_jobs[one] for one in ids if one in listed_jobs] for title, ids in found.listed.items()}
    recovered_ids = {job.id for job in rows["recovered"]}
    rows["ok"] = [job for job in rows["ok"] if job.id not in recovered_ids]
    lines = await _job_lines(tx, scope, listed_jobs, silences)
    lines |= await _with_unclear_texts(tx, scope, {job.id: lines[job.id] for job in rows["unclear"]})
    sections: list[Section] = []
    silenced: list[JobLine] = []
    for title, listed in rows.items():
        shown = [lines[job.id] for job in listed]
        if title in ("failed", "missed", "overrun", "unclear", "warning"):
            silenced += [line for line in shown if line.silenced_until]
            shown = [line for line in shown if not line.silenced_until]
        total = len(listed) if title == "recovered" else found.states.get(title, 0)
        left_out = max(0, total - len(listed) - (len(recovered_ids) if title == "ok" else 0))
        sections.append(Section(title, tuple(shown), left_out))
    sections.insert(6, Section("silenced", tuple(silenced), 0))
    return tuple(section for section in sections if section.lines or section.more)


def _build_listed_jobs(db: Builder) -> Select[Values]:
    joined = {
        "agent": agents.c.name,
        "agent_labels": agents.c.labels,
        "customer": customers.c.name,
    }
    shown = joined_jobs(*(joined[name] if name in joined else jobs.c[name] for name in _ListedJob._fields))
    return shown.where(db.one_of(jobs.c.id, "ids"))


_LISTED_JOBS = Prepared(_build_listed_jobs)


async def _with_unclear_texts(tx: ReadTx, scope: SummaryScope, lines: Mapping[str, JobLine]) -> dict[str, JobLine]:
    """Return these lines with the text that nobody could tell by: that of the job's newest unclear run."""
    if not lines:
        return {}
    texts = await tx.fetch(_UNCLEAR_TEXTS, ids=sorted(lines), end=scope.end)
    return {job_id: replace(lines[job_id], last_message=message) for job_id, message in texts}


def _build_unclear_texts(db: Builder) -> Select[Values]:
    unclear = runs.c.job_id == jobs.c.id, runs.c.outcome == RunOutcome.UNCLEAR, runs.c.ended_at <= END
    newest = select(runs.c.message).where(*unclear).order_by(runs.c.ended_at.desc(), runs.c.run_key.desc()).limit(1)
    return select(jobs.c.id, newest.scalar_subquery()).where(db.one_of(jobs.c.id, "ids"))


_UNCLEAR_TEXTS = Prepared(_build_unclear_texts)


async def _job_lines(
    tx: ReadTx, scope: SummaryScope, listed: Mapping[str, _ListedJob], silences: Sequence[Silence]
) -> dict[str, JobLine]:
    """Return the lines of these jobs by id, with their strips of the last days."""
    strips = await _strips(tx, listed.values(), scope)
    days = [scope.last_day - timedelta(days=back) for back in range(scope.strip_days - 1, -1, -1)]
    empty = [DayCell(day, 0, 0, 0, 0, 0, 0, 0, 0.0) for day in days]
    lines = {}
    for job in listed.values():
        cells = strips.get(job.id, {})  # without those on which nothing ran
        of_period = [cell for cell in cells.values() if scope.is_long and scope.first_day <= cell.day <= scope.last_day]
        lines[job.id] = JobLine(
            job_id=job.id,
            customer=job.customer,
            agent=job.agent,
            job=job.name,
            activity=job.activity,
            state=JobState.FAILED if job.failures_in_row or job.late_failure_at else JobState(job.state),
            failing_since=job.failing_since or job.late_failure_at,
            last_success_at=job.last_success_at,
            last_message=job.last_message,
            silenced_until=_silenced_until(job, silences),
            strip=tuple(cells.get(cell.day, cell) for cell in empty),
            failures=sum(cell.failures for cell in of_period),
            missed=sum(cell.missed for cell in of_period),
        )
    return lines | await _as_of(tx, scope, [lines[job.id] for job in listed.values() if _has_changed(job, scope)])


def _has_changed(job: _ListedJob, scope: SummaryScope) -> bool:
    return job.last_finished_at is not None and job.last_finished_at > scope.end


def _silenced_until(job: _ListedJob, silences: Sequence[Silence]) -> datetime | None:
    of_customer = [silence for silence in silences if silence.customer_id in (None, job.customer_id)]
    if not of_customer:
        return None
    labels = {**(job.agent_labels or {}), **(job.labels or {})}
    facts = {f"label:{name}": str(value) for name, value in labels.items()}
    facts |= {
        "customer": job.customer,
        "agent": job.agent,
        "job": job.name,
        "activity": job.activity,
        "message": job.last_message or "",
    }
    return max((one.ends_at for one in of_customer if all_match(one.matchers, facts)), default=None)


async def _as_of(tx: ReadTx, scope: SummaryScope, changed: Sequence[JobLine]) -> dict[str, JobLine]:
    """Return the lines of jobs of which a run ended since the end of the period, as they were then."""
    ids = [line.job_id for line in changed]
    now_known, then_known = await jobs_by_id(tx, ids), await read_histories(tx, ids, until=scope.end)
    lines = {}
    for line in changed:
        if line.job_id not in now_known:  # it cannot be read
            continue
        then = restore_state(now_known[line.job_id], then_known[line.job_id])
        lines[line.job_id] = replace(
            line,
            state=JobState.FAILED if then.failures_in_row else then.state,
            failing_since=then.failing_since,
            last_success_at=then.last_success_at,
            last_message=then.last_message,
        )
    return lines


async def _strips(tx: ReadTx, found: Iterable[_ListedJob], scope: SummaryScope) -> Mapping[str, Mapping[date, DayCell]]:
    """Return the days of the listed jobs, by job id and day: those of the strip, and all of a longer period."""
    strips: dict[str, dict[date, DayCell]] = {}
    keys = sorted({(job.customer_id, job.id) for job in found})
    first_day = min(scope.first_day, scope.last_day - timedelta(days=scope.strip_days - 1))
    for first in range(0, len(keys), _AT_ONCE):
        for values in await tx.fetch(_DAYS_OF_JOBS, jobs=keys[first : first + _AT_ONCE], first_day=first_day):
            strips.setdefault(values[0], {})[values[1]] = DayCell._make(values[1:])
    return strips


def _build_days_of_jobs(builder: Builder) -> Executable:
    some = builder.table("jobs", customer_id=String, job_id=String)
    # A join, because for `IN` SQLite reads the days of all jobs.
    same = (job_days.c.customer_id == some.c.customer_id) & (job_days.c.job_id == some.c.job_id)
    shown = select(job_days.c.job_id, *(job_days.c[name] for name in DayCell._fields))
    return shown.join_from(some, job_days, same).where(job_days.c.day >= _FIRST_DAY)


_DAYS_OF_JOBS = Prepared(_build_days_of_jobs)


async def _totals(tx: ReadTx, scope: SummaryScope) -> Totals:
    """Return the sums over all jobs, each job compared with its like: a weekly job with its earlier runs, not with days without any.

    Of a day: the newest full day, and the mean of those earlier days on which these jobs ran. Of a longer period: the whole of it,
    and the period of the same length before. A job without anything to compare with changes nothing.
    """
    if scope.is_long:
        statement, first, last = _TOTALS_OF_PERIOD, scope.first_day, scope.last_day
        before = first - (last - first + timedelta(days=1))
    else:
        statement, first = _TOTALS_OF_DAY, scope.last_day - timedelta(days=1)
        last, before = first, first - timedelta(days=_BEFORE_DAYS)
    days = {"first_day": first, "last_day": last, "before_first": before, "before_last": first - timedelta(days=1)}
    [row] = await tx.fetch(statement.of(scope), **scope.parameters(), **days)
    new_p, usual_p, new_s, usual_s, new_d, usual_d = (float(amount or 0) for amount in row)
    return Totals(int(new_p), int(new_s), new_d, usual_p, usual_s, usual_d)


def _build_totals_of_day(kind: ScopeKind, db: Builder) -> Select[Values]:
    """Return the query of a day. To read and group two million rows takes nearly all of its time: each has as few steps as possible."""
    # SQLite sums with each mean anyway, as floats. PostgreSQL takes a fifth longer for means than for sums, and three times as long for
    # whole numbers of 8 bytes, which it adds as decimals; it counts the days once for all amounts.
    mean = {
        name: func.avg(job_days.c[name]) if db.is_sqlite else func.sum(cast(job_days.c[name], Float)) / func.count()
        for name in _AMOUNTS
    }
    older = _older(kind, mean)
    # A job has one row a day.
    newest = select(job_days.c.job_id, *(cast(job_days.c[name], Float).label(name) for name in _AMOUNTS))
    return _compared(_of_jobs(newest, kind).where(job_days.c.day == _FIRST_DAY).subquery(), older)


def _build_totals_of_period(kind: ScopeKind, _: Builder) -> Select[Values]:
    # As floats, for the same reason; and SQLite fails where a sum of whole numbers is longer than 8 bytes.
    total = {name: func.sum(cast(job_days.c[name], Float)) for name in _AMOUNTS}
    newest = select(job_days.c.job_id, *(amount.label(name) for name, amount in total.items()))
    newest = newest.where(job_days.c.day >= _FIRST_DAY, job_days.c.day <= _LAST_DAY).group_by(job_days.c.job_id)
    return _compared(_of_jobs(newest, kind).subquery(), _older(kind, total))


_TOTALS_OF_DAY, _TOTALS_OF_PERIOD = ScopedStatement(_build_totals_of_day), ScopedStatement(_build_totals_of_period)


def _older(kind: ScopeKind, amounts: Mapping[str, ColumnElement[Any]]) -> Subquery:
    """Return what each job moved before: these amounts of the days on which it ran."""
    # The first of these is true for nearly all rows, and then SQLite does not read the others.
    ran = or_(*(job_days.c[name] > 0 for name in ("successes", "warnings", "failures", "cancelled", "unclear")))
    older = select(job_days.c.job_id, *(amount.label(name) for name, amount in amounts.items()))
    days = (
        job_days.c.day >= bindparam("before_first", type_=Date),
        job_days.c.day <= bindparam("before_last", type_=Date),
    )
    return _of_jobs(older, kind).where(*days, ran).group_by(job_days.c.job_id).subquery()


def _compared(newest: Subquery, older: Subquery) -> Select[Values]:
    """Return the sums of what is new and of what is usual. Two groupings and a join: conditions within the sums would cost more."""
    sums = []
    for name in _AMOUNTS:
        new, usual = newest.c[name], older.c[name]
        sums += [func.sum(new), func.sum(case((new <= 0, 0), else_=func.coalesce(usual, new)))]
    return select(*sums).select_from(newest.outerjoin(older, older.c.job_id == newest.c.job_id))


def _of_jobs(query: Select[Values], kind: ScopeKind) -> Select[Values]:
    """Return a query of daily roll-ups limited to the jobs of the summary."""
    if not kind.is_all:
        query = query.where(job_days.c.job_id.in_(joined_jobs(jobs.c.id).where(kind.matches())))
    return query.where(kind.of_customer(job_days.c.customer_id))
