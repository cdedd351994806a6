"""Reads what a summary shows, from jobs and daily roll-ups. It never scans events, so its cost does not grow with history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Result, Row, Select, and_, case, exists, func, or_, select, text, tuple_

from app.core.ids import first_id_at
from app.domain.alert import AlertKind
from app.domain.job import JobState
from app.domain.mail_views import DayCell, JobLine, Section, SummaryView, Totals
from app.domain.matcher import all_match
from app.domain.route import Silence
from app.store.jobs import WITHOUT_EXPECTATION, job_matches
from app.store.silences import current_silences
from app.store.summaries import Schedule
from app.store.tables import agents, alerts, customers, events, job_days, jobs, messages, runs
from app.store.transactions import ReadTx

DAYS = 14
# Jobs listed by section; the others are only counted: nobody would read 100 000 lines.
MOST = {"failed": 200, "missed": 200, "warning": 100, "recovered": 50, "new": 20, "ok": 100}


@dataclass(frozen=True, slots=True)
class SummaryScope:
    """Which jobs, and which period."""

    wanted: ColumnElement[bool]
    customer_id: str | None
    start: datetime
    end: datetime
    today: date
    is_all: bool


async def read_summary_view(
    tx: ReadTx, schedule: Schedule, *, number: int, start: datetime, end: datetime
) -> SummaryView:
    """Return everything that the summary of this period shows."""
    zone = ZoneInfo(schedule.recurrence.time_zone)
    wanted = job_matches(schedule.customer_id, schedule.matchers)
    is_all = schedule.customer_id is None and not schedule.matchers
    scope = SummaryScope(wanted, schedule.customer_id, start, end, end.astimezone(zone).date(), is_all)
    counts = (await tx.connection.execute(_counts(scope))).one()
    silences = await current_silences(tx, end)
    sections = await _sections(tx, scope, counts, silences)
    return SummaryView(
        schedule=schedule.name,
        number=number,
        period_start=start,
        period_end=end,
        time_zone=schedule.recurrence.time_zone,
        expected=counts.expected or 0,
        heard=counts.heard or 0,
        jobs=counts.jobs or 0,
        failed=counts.failed or 0,
        missed=counts.missed or 0,
        warnings=counts.warning or 0,
        ok=counts.ok or 0,
        new=counts.new or 0,
        silent_agents=await _silent_agents(tx, scope),
        without_expectation=counts.without_expectation or 0,
        unconfirmed=counts.unconfirmed or 0,
        undelivered=await _count(tx, _undelivered(scope)),
        set_aside=await _count(tx, _set_aside(scope)),
        totals=await _totals(tx, scope),
        sections=sections,
    )


FAILED = jobs.c.failures_in_row > 0
# Missed, and then dismissed by an administrator: the job counts as its last run ended, instead of as missed for ever.
EXCUSED = and_(jobs.c.state == JobState.MISSED, jobs.c.dismissed_at.is_not(None))
STATES: Mapping[str, ColumnElement[bool]] = {
    "failed": FAILED,
    "missed": and_(~FAILED, jobs.c.state == JobState.MISSED, ~EXCUSED),
    "warning": and_(~FAILED, or_(jobs.c.state == JobState.WARNING, and_(EXCUSED, jobs.c.warnings_in_row > 0))),
    "ok": and_(~FAILED, or_(jobs.c.state == JobState.OK, and_(EXCUSED, jobs.c.warnings_in_row == 0))),
    "new": and_(~FAILED, jobs.c.state == JobState.NEW),
}


def _counts(scope: SummaryScope) -> Select[Any]:
    """Count jobs by state. Expected are jobs that were due and, where no due time was checked yet, jobs that ran."""
    due = or_(jobs.c.last_due_at >= scope.start, jobs.c.next_due_at < scope.end)
    ran = jobs.c.last_came_at >= scope.start
    expected = or_(due, and_(jobs.c.last_due_at.is_(None), or_(ran, _seems_regular(scope))))
    wanted = {
        **STATES,
        "expected": expected,
        "heard": and_(expected, ran),
        "without_expectation": WITHOUT_EXPECTATION,
        "unconfirmed": jobs.c.proposed_expectation.is_not(None),
    }
    sums = [func.sum(case((condition, 1), else_=0)).label(name) for name, condition in wanted.items()]
    return _jobs(func.count().label("jobs"), *sums).where(scope.wanted)


def _seems_regular(scope: SummaryScope) -> ColumnElement[bool]:
    """Return the condition for a job that ran in each of the two periods before, and has no expectation yet.

    One run is not enough: a weekly job would count as not heard from on the next morning.
    """
    length = scope.end - scope.start
    before, earlier = scope.start - length, scope.start - 2 * length
    came_earlier = exists().where(runs.c.job_id == jobs.c.id, runs.c.ended_at >= earlier, runs.c.ended_at < before)
    # A job with an expectation is due at the time that it says, and not missed before that.
    return and_(WITHOUT_EXPECTATION, jobs.c.last_came_at >= before, came_earlier)


def _jobs(*columns: Any) -> Select[Any]:  # noqa: ANN401
    return (
        select(*columns)
        .select_from(jobs)
        .join(agents, agents.c.id == jobs.c.agent_id)
        .join(customers, customers.c.id == jobs.c.customer_id)
    )


async def _count(tx: ReadTx, query: Select[Any]) -> int:
    return int(await tx.connection.scalar(query) or 0)


# These conditions repeat those of partial indexes word for word: otherwise SQLite reads the whole table.


def _undelivered(scope: SummaryScope) -> Select[Any]:
    died = (messages.c.settled_at >= scope.start, messages.c.settled_at < scope.end)
    query = select(func.count()).where(text("messages.state = 'dead'"), *died)
    return query if scope.customer_id is None else query.where(messages.c.customer_id == scope.customer_id)


def _set_aside(scope: SummaryScope) -> Select[Any]:
    came = (events.c.id >= first_id_at("evt", scope.start), events.c.id < first_id_at("evt", scope.end))
    query = select(func.count()).where(text("events.state = 'set_aside'"), *came)
    return query if scope.customer_id is None else query.where(events.c.customer_id == scope.customer_id)


async def _silent_agents(tx: ReadTx, scope: SummaryScope) -> tuple[str, ...]:
    open_alerts = select(agents.c.name).join(alerts, alerts.c.agent_id == agents.c.id)
    open_alerts = open_alerts.where(alerts.c.kind == AlertKind.AGENT_SILENT, alerts.c.closed_at.is_(None))
    if scope.customer_id is not None:
        open_alerts = open_alerts.where(alerts.c.customer_id == scope.customer_id)
    return tuple((await tx.connection.execute(open_alerts.order_by(agents.c.name).limit(50))).scalars())


async def _sections(
    tx: ReadTx, scope: SummaryScope, counts: Row[Any], silences: Sequence[Silence]
) -> tuple[Section, ...]:
    rows: dict[str, Sequence[Row[Any]]] = {}
    for title in ("failed", "missed", "warning", "recovered", "new", "ok"):
        condition = _recovered(scope) if title == "recovered" else STATES[title]
        rows[title] = await _listed(tx, scope, condition, MOST[title])
    listed = {row.id for row in rows["recovered"]}
    rows["ok"] = [row for row in rows["ok"] if row.id not in listed]
    strips = await _strips(tx, [row for found in rows.values() for row in found], scope.today)
    sections: list[Section] = []
    silenced: list[JobLine] = []
    for title, found in rows.items():
        lines = [_line(row, strips, scope.today, silences) for row in found]
        if title in ("failed", "missed", "warning"):
            silenced += [line for line in lines if line.silenced_until]
            lines = [line for line in lines if not line.silenced_until]
        total = len(found) if title == "recovered" else int(getattr(counts, title) or 0)
        left_out = max(0, total - len(found) - (len(listed) if title == "ok" else 0))
        sections.append(Section(title, tuple(lines), left_out))
    sections.insert(4, Section("silenced", tuple(silenced), 0))
    return tuple(section for section in sections if section.lines or section.more)


def _recovered(scope: SummaryScope) -> ColumnElement[bool]:
    closed = exists().where(
        alerts.c.subject_id == jobs.c.id,
        alerts.c.closed_at >= scope.start,
        alerts.c.closed_at < scope.end,
        alerts.c.kind.in_((AlertKind.FAILED, AlertKind.MISSED)),
    )
    return and_(STATES["ok"], ~EXCUSED, closed)


async def _listed(tx: ReadTx, scope: SummaryScope, condition: ColumnElement[bool], limit: int) -> Sequence[Row[Any]]:
    columns = (
        jobs,
        agents.c.name.label("agent"),
        agents.c.labels.label("agent_labels"),
        customers.c.name.label("customer"),
    )
    query = _jobs(*columns).where(scope.wanted, condition)
    ordered = query.order_by(jobs.c.failing_since, customers.c.name, agents.c.name, jobs.c.name).limit(limit)
    found: Result[Any] = await tx.connection.execute(ordered)
    return found.all()


def _line(
    row: Row[Any], strips: Mapping[str, Mapping[date, DayCell]], today: date, silences: Sequence[Silence]
) -> JobLine:
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    cells = strips.get(row.id, {})
    return JobLine(
        job_id=row.id,
        customer=row.customer,
        agent=row.agent,
        job=row.name,
        activity=row.activity,
        state=JobState.FAILED if row.failures_in_row else JobState(row.state),
        failing_since=row.failing_since,
        last_success_at=row.last_success_at,
        last_message=row.last_message,
        silenced_until=_silenced_until(row, silences),
        strip=tuple(cells.get(day, DayCell(day, 0, 0, 0, 0, 0, 0, 0, 0.0)) for day in days),
    )


def _silenced_until(row: Row[Any], silences: Sequence[Silence]) -> datetime | None:
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
    return max(ends, default=None)


async def _strips(tx: ReadTx, found: Sequence[Row[Any]], today: date) -> Mapping[str, Mapping[date, DayCell]]:
    """Return the days of the listed jobs, by job and day."""
    strips: dict[str, dict[date, DayCell]] = {}
    keys = sorted({(row.customer_id, row.id) for row in found})
    for first in range(0, len(keys), 500):
        some = tuple_(job_days.c.customer_id, job_days.c.job_id).in_(keys[first : first + 500])
        newer = job_days.c.day > today - timedelta(days=DAYS)
        for row in await tx.connection.execute(select(job_days).where(some, newer)):
            cells = {name: getattr(row, name) for name in DayCell.__slots__}
            strips.setdefault(row.job_id, {})[row.day] = DayCell(**cells)
    return strips


async def _totals(tx: ReadTx, scope: SummaryScope) -> Totals:
    """Return the sums over all jobs of the newest full day, and their means over the days before that have any."""
    names = ("bytes_processed", "bytes_stored", "duration_s")
    query = select(job_days.c.day, *(func.sum(job_days.c[name]).label(name) for name in names))
    if not scope.is_all:
        chosen = _jobs(jobs.c.id).where(scope.wanted)
        query = query.where(job_days.c.job_id.in_(chosen))
    if scope.customer_id is not None:
        query = query.where(job_days.c.customer_id == scope.customer_id)
    query = query.where(job_days.c.day > scope.today - timedelta(days=DAYS + 1), job_days.c.day < scope.today)
    by_day = {
        row.day: [float(getattr(row, name) or 0) for name in names]
        for row in await tx.connection.execute(query.group_by(job_days.c.day))
    }
    newest = by_day.pop(scope.today - timedelta(days=1), [0.0, 0.0, 0.0])
    usual = [sum(column) / len(by_day) for column in zip(*by_day.values(), strict=True)] if by_day else [0.0, 0.0, 0.0]
    return Totals(int(newest[0]), int(newest[1]), newest[2], usual[0], usual[1], usual[2])
