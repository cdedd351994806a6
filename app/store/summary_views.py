"""Reads the contents of summaries (`domain/mail_views.py`): how the jobs were at the end of a period. It does not word anything."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    Float,
    Row,
    Select,
    String,
    Subquery,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.sql.base import Executable

from app.core.ids import first_id_at
from app.domain.alert import AlertKind
from app.domain.canary import TIMES_OVER
from app.domain.event import RunOutcome
from app.domain.job import JobState, restore_state
from app.domain.mail_views import DayCell, JobLine, PeriodRuns, Section, SummaryView, Totals
from app.domain.matcher import all_match
from app.domain.notice import URGENCY_CANARY
from app.domain.route import Silence
from app.domain.summary_schedule import SummarySchedule
from app.store.agents import count_waiting
from app.store.canaries import mail_times
from app.store.job_states import is_silent, joined_jobs
from app.store.jobs import JOBS
from app.store.prepared import Builder, Prepared
from app.store.routing import current_silences
from app.store.run_history import read_histories
from app.store.summaries import SummaryJobs, SummaryScope, gap_before, read_jobs, scope_of
from app.store.tables import agents, alerts, customers, events, job_days, jobs, messages, runs
from app.store.transactions import ReadTx

_BEFORE_DAYS = 28  # before the newest full day: those that a job of that day is compared with, four of a weekly one
_AT_ONCE = 500  # jobs whose days one query reads
_AMOUNTS = ("bytes_processed", "bytes_stored", "duration_s")
# The condition of an index, which SQLite wants to see in the query.
_IS_TROUBLE = runs.c.outcome != literal_column("'success'")
# How many jobs each section lists; the rest is counted. Nobody would read 100 000 lines.
MOST = {
    "failed": 200,
    "missed": 200,
    "overrun": 200,
    "unclear": 200,
    "warning": 100,
    "recovered": 50,
    "new": 20,
    "ok": 100,
}


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
    found = await read_jobs(tx, scope, MOST)
    states = found.states
    counted = (await tx.connection.execute(_counts(scope))).one()
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
        waiting_agents=await count_waiting(tx, scope.customer_id),
        without_expectation=found.without_expectation,
        unconfirmed=found.unconfirmed,
        undelivered=counted.undelivered,
        bounced=counted.bounced,
        set_aside=counted.set_aside,
        totals=await _totals(tx, scope),
        unclear_runs=counted.unclear_runs,
        unclear_texts=await _unclear_texts(tx, scope),
        runs=await _period_runs(tx, scope) if scope.is_long else None,
        sections=await _sections(tx, scope, found, await current_silences(tx, end)),
        mail_times=(await mail_times(tx, end - TIMES_OVER, end)).get(""),
        unknown_numbers=await gap_before(tx, schedule.id, number),
    )


def _counts(scope: SummaryScope) -> Select[Any]:
    """Return the query of what went wrong in the period apart from the jobs, in one row."""
    start, end, customer_id = scope.start, scope.end, scope.customer_id
    # The conditions of partial indexes stand as in the index, word for word: otherwise SQLite reads the whole table.
    undelivered = _settled_messages("messages.state = 'dead'", start, end)
    bounced = _settled_messages("messages.state = 'bounced'", start, end)
    set_aside = select(func.count()).where(
        text("events.state = 'set_aside'"),
        events.c.id >= first_id_at("evt", start),
        events.c.id < first_id_at("evt", end),
    )
    if customer_id is not None:
        undelivered = undelivered.where(messages.c.customer_id == customer_id)
        bounced = bounced.where(messages.c.customer_id == customer_id)
        set_aside = set_aside.where(events.c.customer_id == customer_id)
    unclear = runs.c.outcome == RunOutcome.UNCLEAR, _IS_TROUBLE, runs.c.id >= first_id_at("run", start)
    unclear_runs = (
        joined_jobs(func.count())
        .join(runs, runs.c.job_id == jobs.c.id)
        .where(scope.matches, *unclear, runs.c.ended_at >= start, runs.c.ended_at < end)
    )
    counts = {"undelivered": undelivered, "bounced": bounced, "set_aside": set_aside, "unclear_runs": unclear_runs}
    # One statement: each takes a millisecond, and the database a tenth of it.
    return select(*(query.scalar_subquery().label(name) for name, query in counts.items()))


def _settled_messages(condition: str, start: datetime, end: datetime) -> Select[int]:
    """Return the query that counts the messages of a state that were settled in the period. Canaries are for nobody."""
    return select(func.count()).where(
        text(condition),
        messages.c.settled_at >= start,
        messages.c.settled_at < end,
        messages.c.urgency < URGENCY_CANARY,
    )


async def _silent_agents(tx: ReadTx, scope: SummaryScope) -> tuple[str, ...]:
    silent = select(agents.c.name).where(is_silent(scope.end))
    reported_since = select(agents.c.name).join(alerts, alerts.c.agent_id == agents.c.id)
    reported_since = reported_since.where(
        alerts.c.closed_at > scope.end, alerts.c.kind == AlertKind.AGENT_SILENT, alerts.c.opened_at <= scope.end
    )
    found: set[str] = set()
    for query in (silent, reported_since):
        of_customer = [] if scope.customer_id is None else [agents.c.customer_id == scope.customer_id]
        found |= set(await tx.connection.scalars(query.where(*of_customer).order_by(agents.c.name).limit(50)))
    return tuple(sorted(found)[:50])


async def _unclear_texts(tx: ReadTx, scope: SummaryScope) -> int:
    count = 0
    for was_open in (alerts.c.closed_at.is_(None), alerts.c.closed_at > scope.end):
        waiting = joined_jobs(func.count()).join(alerts, alerts.c.subject_id == jobs.c.id)
        waiting = waiting.where(was_open, alerts.c.kind == AlertKind.UNCLEAR, alerts.c.opened_at <= scope.end)
        count += await tx.connection.scalar(waiting.where(scope.matches)) or 0
    return count


async def _period_runs(tx: ReadTx, scope: SummaryScope) -> PeriodRuns:
    """Return how the runs of the period ended, from the daily roll-ups."""
    names = tuple(PeriodRuns.__slots__)
    query = _of_jobs(select(*(func.sum(job_days.c[name]).label(name) for name in names)), scope)
    query = query.where(job_days.c.day >= scope.first_day, job_days.c.day <= scope.last_day)
    row = (await tx.connection.execute(query)).one()
    return PeriodRuns(**{name: int(getattr(row, name) or 0) for name in names})


async def _sections(
    tx: ReadTx, scope: SummaryScope, found: SummaryJobs, silences: Sequence[Silence]
) -> tuple[Section, ...]:
    rows = await _rows_of(tx, scope, found)
    recovered_ids = {row.id for row in rows["recovered"]}
    rows["ok"] = [row for row in rows["ok"] if row.id not in recovered_ids]
    strips = await _strips(tx, [row for listed in rows.values() for row in listed], scope)
    sections: list[Section] = []
    silenced: list[JobLine] = []
    for title, listed in rows.items():
        lines = [
            await _as_of(tx, scope, row, _job_line(row, strips.get(row.id, {}), scope, silences)) for row in listed
        ]
        if title in ("failed", "missed", "overrun", "unclear", "warning"):
            silenced += [line for line in lines if line.silenced_until]
            lines = [line for line in lines if not line.silenced_until]
        total = len(listed) if title == "recovered" else found.states.get(title, 0)
        left_out = max(0, total - len(listed) - (len(recovered_ids) if title == "ok" else 0))
        sections.append(Section(title, tuple(lines), left_out))
    sections.insert(6, Section("silenced", tuple(silenced), 0))
    return tuple(section for section in sections if section.lines or section.more)


async def _rows_of(tx: ReadTx, scope: SummaryScope, found: SummaryJobs) -> dict[str, list[Row[Any]]]:
    """Return the rows of the listed jobs by section."""
    unclear = runs.c.job_id == jobs.c.id, runs.c.outcome == RunOutcome.UNCLEAR, runs.c.ended_at <= scope.end
    text_of = select(runs.c.message).where(*unclear).order_by(runs.c.ended_at.desc(), runs.c.run_key.desc()).limit(1)
    columns = (
        jobs,
        agents.c.name.label("agent"),
        agents.c.labels.label("agent_labels"),
        customers.c.name.label("customer"),
    )
    wanted = sorted({job_id for title, ids in found.listed.items() if title != "unclear" for job_id in ids})
    by_id = {row.id: row for row in await tx.connection.execute(joined_jobs(*columns).where(jobs.c.id.in_(wanted)))}
    rows = {title: [by_id[job_id] for job_id in ids if job_id in by_id] for title, ids in found.listed.items()}
    if ids := found.listed["unclear"]:
        texts = joined_jobs(*columns, text_of.scalar_subquery().label("unclear_text")).where(jobs.c.id.in_(ids))
        unclear_rows = {row.id: row for row in await tx.connection.execute(texts)}
        rows["unclear"] = [unclear_rows[job_id] for job_id in ids if job_id in unclear_rows]
    return rows


def _job_line(
    row: Row[Any], cells: Mapping[date, DayCell], scope: SummaryScope, silences: Sequence[Silence]
) -> JobLine:
    """Return the line of one job with its strip of the last days. `cells` has no entry for a day on which nothing ran."""
    labels = {**(row.agent_labels or {}), **(row.labels or {})}
    facts = {f"label:{name}": str(value) for name, value in labels.items()}
    facts |= {
        "customer": row.customer,
        "agent": row.agent,
        "job": row.name,
        "activity": row.activity,
        "message": row.last_message or "",
    }
    ends = [s.ends_at for s in silences if s.customer_id in (None, row.customer_id) and all_match(s.matchers, facts)]
    days = [scope.last_day - timedelta(days=back) for back in range(scope.strip_days - 1, -1, -1)]
    of_period = [cell for cell in cells.values() if scope.is_long and scope.first_day <= cell.day <= scope.last_day]
    return JobLine(
        job_id=row.id,
        customer=row.customer,
        agent=row.agent,
        job=row.name,
        activity=row.activity,
        state=JobState.FAILED if row.failures_in_row else JobState(row.state),
        failing_since=row.failing_since,
        last_success_at=row.last_success_at,
        last_message=getattr(row, "unclear_text", row.last_message),
        silenced_until=max(ends, default=None),
        strip=tuple(cells.get(day) or DayCell(day, 0, 0, 0, 0, 0, 0, 0, 0.0) for day in days),
        failures=sum(cell.failures for cell in of_period),
        missed=sum(cell.missed for cell in of_period),
    )


async def _as_of(tx: ReadTx, scope: SummaryScope, row: Row[Any], line: JobLine) -> JobLine:
    """Return the line as it was at the end of the period, if a run of the job ended since."""
    if row.last_finished_at is None or row.last_finished_at <= scope.end:
        return line
    [then_known] = (await read_histories(tx, [row.id], until=scope.end)).values()
    then = restore_state(JOBS.mapping.read(row), then_known)
    return replace(
        line,
        state=JobState.FAILED if then.failures_in_row else then.state,
        failing_since=then.failing_since,
        last_success_at=then.last_success_at,
        last_message=getattr(row, "unclear_text", then.last_message),
    )


async def _strips(tx: ReadTx, found: Iterable[Row[Any]], scope: SummaryScope) -> Mapping[str, Mapping[date, DayCell]]:
    """Return the days of the listed jobs, by job id and day: those of the strip, and all of a longer period."""
    strips: dict[str, dict[date, DayCell]] = {}
    keys = sorted({(row.customer_id, row.id) for row in found})
    first_day = min(scope.first_day, scope.last_day - timedelta(days=scope.strip_days - 1))
    for first in range(0, len(keys), _AT_ONCE):
        days = await tx.fetch(_DAYS_OF_JOBS, jobs=keys[first : first + _AT_ONCE], first_day=first_day)
        for job_id, *cells in days:
            cell = DayCell(*cells)
            strips.setdefault(job_id, {})[cell.day] = cell
    return strips


def _build_days_of_jobs(builder: Builder) -> Executable:
    some = builder.table("jobs", customer_id=String, job_id=String)
    # A join, because for `IN` SQLite reads the days of all jobs.
    same = (job_days.c.customer_id == some.c.customer_id) & (job_days.c.job_id == some.c.job_id)
    shown = select(job_days.c.job_id, *(job_days.c[name] for name in DayCell.__slots__))
    return shown.join_from(some, job_days, same).where(job_days.c.day >= bindparam("first_day", type_=Date))


_DAYS_OF_JOBS = Prepared(_build_days_of_jobs)


async def _totals(tx: ReadTx, scope: SummaryScope) -> Totals:
    """Return the sums over all jobs, each job compared with its like: a weekly job with its earlier runs, not with days without any.

    Of a day: the newest full day, and the mean of those earlier days on which these jobs ran. Of a longer period: the whole of it,
    and the period of the same length before. A job without anything to compare with changes nothing.
    """
    if scope.is_long:
        newest_first, newest_last = scope.first_day, scope.last_day
        before = newest_first - (newest_last - newest_first + timedelta(days=1))
    else:
        newest_first = newest_last = scope.last_day - timedelta(days=1)
        before = newest_first - timedelta(days=_BEFORE_DAYS)
    # Two groupings and a join, because conditions within the sums of a million rows would cost more than all else.
    newest = _sums_by_job(scope, newest_first, newest_last)
    ran = job_days.c.successes + job_days.c.warnings + job_days.c.failures + job_days.c.cancelled + job_days.c.unclear
    older = _sums_by_job(scope, before, newest_first - timedelta(days=1), ran > 0)
    sums = []
    for name in _AMOUNTS:
        new, old = newest.c[name], older.c[name]
        usual = old if scope.is_long else old * 1.0 / older.c.days
        sums += [func.sum(new), func.sum(case((new <= 0, 0), else_=func.coalesce(usual, new)))]
    joined = select(*sums).select_from(newest.outerjoin(older, older.c.job_id == newest.c.job_id))
    row = (await tx.connection.execute(joined)).one()
    new_p, usual_p, new_s, usual_s, new_d, usual_d = (float(amount or 0) for amount in row)
    return Totals(int(new_p), int(new_s), new_d, usual_p, usual_s, usual_d)


def _sums_by_job(scope: SummaryScope, first: date, last: date, *conditions: ColumnElement[bool]) -> Subquery:
    """Return what each job of the summary moved on these days, and on how many."""
    # As floats: PostgreSQL adds whole numbers of 8 bytes as decimals, which takes three times as long, and SQLite fails beyond 8 bytes.
    amounts = (func.sum(cast(job_days.c[name], Float)).label(name) for name in _AMOUNTS)
    query = _of_jobs(select(job_days.c.job_id, func.count().label("days"), *amounts), scope)
    query = query.where(job_days.c.day >= first, job_days.c.day <= last, *conditions)
    return query.group_by(job_days.c.job_id).subquery()


def _of_jobs(query: Select[Any], scope: SummaryScope) -> Select[Any]:
    """Return a query of daily roll-ups limited to the jobs of the summary."""
    if not scope.is_all:
        query = query.where(job_days.c.job_id.in_(joined_jobs(jobs.c.id).where(scope.matches)))
    return query if scope.customer_id is None else query.where(job_days.c.customer_id == scope.customer_id)
