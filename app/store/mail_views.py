"""Reads the contents of mails: the views of alerts and of summaries (`domain/mail_views.py`). It does not word anything."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Result,
    Row,
    Select,
    and_,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    text,
    tuple_,
)

from app.core.ids import first_id_at
from app.domain.alert import AlertKind
from app.domain.event import HABIT, READING, RunOutcome
from app.domain.job import JobState
from app.domain.mail_views import AlertView, DayCell, JobLine, Section, SummaryView, Totals
from app.domain.matcher import all_match
from app.domain.notice import Notice, NoticeState
from app.domain.route import Silence
from app.domain.summary_schedule import SummarySchedule
from app.domain.zone_hint import RUNS_READ, zone_hint
from app.store.alerts import ALERTS
from app.store.jobs import WITHOUT_EXPECTATION, job_matches
from app.store.row_mapping import expectation_of
from app.store.runs import newest_runs
from app.store.silences import current_silences
from app.store.tables import agents, alerts, customers, events, job_days, jobs, messages, notices, runs
from app.store.transactions import ReadTx

MOST_HINTS = (
    50  # jobs whose runs are read for a hint; after an outage, thousands are missed at once, and none of them needs one
)
LOG_TAIL = LOG_HEAD = 4096  # characters of a log that a message may show
DAYS = 14
_IS_TROUBLE = runs.c.outcome != literal_column(
    "'success'"
)  # the condition of an index, which SQLite wants to see in the query
# How many jobs each section lists; the rest is counted. Nobody would read 100 000 lines.
MOST = {"failed": 200, "missed": 200, "unclear": 200, "warning": 100, "recovered": 50, "new": 20, "ok": 100}
_ALERTS_WITH_JOBS = (
    select(
        alerts,
        customers.c.name.label("customer"),
        customers.c.time_zone,
        agents.c.name.label("agent"),
        jobs.c.name.label("job"),
        jobs.c.activity,
        jobs.c.last_success_at,
        jobs.c.failures_in_row,
        jobs.c.missed_in_row,
        jobs.c.warnings_in_row,
        jobs.c.next_due_at,
        jobs.c.expectation,
    )
    .join(customers, customers.c.id == alerts.c.customer_id)
    .join(agents, agents.c.id == alerts.c.agent_id)
    .outerjoin(jobs, jobs.c.id == alerts.c.job_id)
)


async def read_alert_views(tx: ReadTx, reported: Sequence[Notice]) -> dict[str, AlertView]:
    """Return the view of each notice about an alert, by notice id."""
    alert_ids = {notice.alert_id for notice in reported if notice.alert_id}
    found = {row.id: row for row in await tx.connection.execute(_ALERTS_WITH_JOBS.where(alerts.c.id.in_(alert_ids)))}
    # The events that the alerts rest on, with only the tail of their log: a log can be long.
    tail = func.substr(events.c.log, -LOG_TAIL) if tx.is_sqlite else func.right(events.c.log, LOG_TAIL)
    head = func.substr(events.c.log, 1, LOG_HEAD)
    columns = (
        *(events.c.id, events.c.run_id, events.c.metrics, events.c.occurred_at, events.c.extra),
        *(tail.label("tail"), head.label("head")),
    )
    query = select(*columns, runs.c.started_at, runs.c.ended_at).outerjoin(runs, runs.c.id == events.c.run_id)
    event_ids = {row.event_id for row in found.values() if row.event_id}
    rows: Result[Any] = await tx.connection.execute(query.where(events.c.id.in_(event_ids)))
    evidence = {row.id: row for row in rows}
    # The Message-ID of the first mail to each recipient about each alert: later mails are threaded below it.
    mails = await tx.connection.execute(
        select(notices.c.recipient_id, notices.c.alert_id, messages.c.message_id)
        .join(messages, messages.c.id == notices.c.message_id)
        .where(notices.c.alert_id.in_(alert_ids), notices.c.state == NoticeState.WORDED)
        .order_by(notices.c.id.desc())
    )
    threads = {(row.recipient_id, row.alert_id): row.message_id for row in mails}
    hints = await _zone_hints(tx, found.values())
    views: dict[str, AlertView] = {}
    for notice in reported:
        alert = found.get(notice.alert_id)
        if alert is not None:
            thread_id = threads.get((notice.recipient_id, notice.alert_id))
            view = _alert_view(notice, alert, evidence.get(alert.event_id), thread_id)
            views[notice.id] = replace(view, zone_hint=hints.get(alert.job_id))
    return views


async def _zone_hints(tx: ReadTx, found: Iterable[Row[Any]]) -> Mapping[str, str]:
    """Return, by job, that the time zone of its expectation may be wrong, for jobs with an alert of a missed run."""
    expected = {row.job_id: row.expectation for row in found if row.kind == AlertKind.MISSED and row.expectation}
    asked = sorted(expected)[:MOST_HINTS]
    newest = await newest_runs(tx, asked, RUNS_READ)
    hints = {job_id: zone_hint(expectation_of(expected[job_id]), newest[job_id]) for job_id in asked}
    return {job_id: hint for job_id, hint in hints.items() if hint is not None}


def _alert_view(notice: Notice, row: Row[Any], evidence: Row[Any] | None, thread_id: str | None) -> AlertView:
    """Return the view of one notice. `evidence` is the event that the alert rests on, unless it was deleted."""
    expected_at: datetime | None = None
    metrics: dict[str, float] = {}
    if evidence is not None:
        if row.kind == AlertKind.MISSED:
            expected_at = evidence.occurred_at
        metrics = dict(evidence.metrics or {})
        began, ended = evidence.started_at, evidence.ended_at
        if began is not None and ended is not None and ended > began:  # where the agent did not measure the duration
            metrics.setdefault("duration_s", (ended - began).total_seconds())
    return AlertView(
        alert=ALERTS.mapping.read(row),
        what=notice.what,
        reason=notice.reason,
        customer=row.customer,
        time_zone=row.time_zone,
        agent=row.agent,
        job=row.job,
        activity=row.activity or "",
        last_success_at=row.last_success_at,
        failures_in_row=row.failures_in_row or 0,
        missed_in_row=row.missed_in_row or 0,
        warnings_in_row=row.warnings_in_row or 0,
        expected_at=expected_at,
        next_due_at=row.next_due_at,
        log_tail=None if evidence is None else evidence.tail,
        metrics=metrics,
        run_id=None if evidence is None else evidence.run_id,
        thread_id=thread_id,
        log_head=evidence.head if evidence is not None and row.kind == AlertKind.UNCLEAR else None,
        reading=None if evidence is None else _reading(evidence.extra),
        habit=None if evidence is None or expected_at is None else (evidence.extra or {}).get(HABIT),
        notice_due_at=notice.due_at,
    )


def _reading(extra: Mapping[str, object] | None) -> Mapping[str, str] | None:
    """Return the words and the rule by which the text was read; None if it was not read from words."""
    reading = (extra or {}).get(READING)
    return {name: str(text) for name, text in reading.items()} if isinstance(reading, Mapping) else None


_FAILED = jobs.c.failures_in_row > 0
# A missed job whose expectation an administrator dismissed later: it counts as its last run ended, or it would stay among the
# missed jobs for ever.
_EXCUSED = and_(jobs.c.state == JobState.MISSED, jobs.c.dismissed_at.is_not(None))
_OPEN_UNCLEAR = and_(alerts.c.subject_id == jobs.c.id, alerts.c.kind == AlertKind.UNCLEAR, alerts.c.closed_at.is_(None))
# Nobody knows how the newest run of such a job ended: it must not count as good, whatever its state was before.
_UNCLEAR = exists().where(_OPEN_UNCLEAR)
_STATES: Mapping[str, ColumnElement[bool]] = {
    "failed": _FAILED,
    "missed": and_(~_FAILED, jobs.c.state == JobState.MISSED, ~_EXCUSED),
    "unclear": and_(~_FAILED, or_(jobs.c.state != JobState.MISSED, _EXCUSED), _UNCLEAR),
    "warning": and_(
        ~_FAILED, ~_UNCLEAR, or_(jobs.c.state == JobState.WARNING, and_(_EXCUSED, jobs.c.warnings_in_row > 0))
    ),
    "ok": and_(~_FAILED, ~_UNCLEAR, or_(jobs.c.state == JobState.OK, and_(_EXCUSED, jobs.c.warnings_in_row == 0))),
    "new": and_(~_FAILED, ~_UNCLEAR, jobs.c.state == JobState.NEW),
}


@dataclass(frozen=True, slots=True)
class SummaryScope:
    """Which jobs a summary is about, as a condition, and which period it covers."""

    matches: ColumnElement[bool]
    customer_id: str | None
    start: datetime
    end: datetime
    today: date
    is_all: bool


async def read_summary_view(
    tx: ReadTx, schedule: SummarySchedule, *, number: int, start: datetime, end: datetime
) -> SummaryView:
    """Return all that the summary of this period contains.

    It is read from jobs and daily roll-ups, never from a scan of events, so its cost does not grow with the history.
    """
    customer_id = schedule.customer_id
    scope = SummaryScope(
        matches=job_matches(customer_id, schedule.matchers),
        customer_id=customer_id,
        start=start,
        end=end,
        today=end.astimezone(ZoneInfo(schedule.time_zone)).date(),
        is_all=customer_id is None and not schedule.matchers,
    )
    counts = (await tx.connection.execute(_job_counts(scope))).one()
    # The conditions of partial indexes stand as in the index, word for word: otherwise SQLite reads the whole table.
    undelivered = select(func.count()).where(
        text("messages.state = 'dead'"), messages.c.settled_at >= start, messages.c.settled_at < end
    )
    set_aside = select(func.count()).where(
        text("events.state = 'set_aside'"),
        events.c.id >= first_id_at("evt", start),
        events.c.id < first_id_at("evt", end),
    )
    silent = select(agents.c.name).join(alerts, alerts.c.agent_id == agents.c.id)
    silent = silent.where(alerts.c.kind == AlertKind.AGENT_SILENT, alerts.c.closed_at.is_(None))
    if customer_id is not None:
        undelivered = undelivered.where(messages.c.customer_id == customer_id)
        set_aside = set_aside.where(events.c.customer_id == customer_id)
        silent = silent.where(alerts.c.customer_id == customer_id)
    return SummaryView(
        schedule=schedule.name,
        number=number,
        period_start=start,
        period_end=end,
        time_zone=schedule.time_zone,
        expected=counts.expected or 0,
        heard=counts.heard or 0,
        jobs=counts.jobs or 0,
        failed=counts.failed or 0,
        missed=counts.missed or 0,
        unclear=counts.unclear or 0,
        warnings=counts.warning or 0,
        ok=counts.ok or 0,
        new=counts.new or 0,
        silent_agents=tuple(await tx.connection.scalars(silent.order_by(agents.c.name).limit(50))),
        without_expectation=counts.without_expectation or 0,
        unconfirmed=counts.unconfirmed or 0,
        undelivered=await tx.connection.scalar(undelivered) or 0,
        set_aside=await tx.connection.scalar(set_aside) or 0,
        totals=await _totals(tx, scope),
        unclear_runs=await tx.connection.scalar(_unclear_runs(scope)) or 0,
        unclear_texts=await tx.connection.scalar(_jobs(func.count()).join(alerts, _OPEN_UNCLEAR).where(scope.matches))
        or 0,
        sections=await _sections(tx, scope, counts, await current_silences(tx, end)),
    )


def _job_counts(scope: SummaryScope) -> Select[Any]:
    """Return the query that counts the jobs of each state, those that were expected, and those of them that reported.

    Expected are the jobs that fell due and, where no slot of a job was judged yet, those that reported or seem to be regular:
    so no more jobs are heard from than expected.
    """
    fell_due = or_(jobs.c.last_due_at >= scope.start, jobs.c.next_due_at < scope.end)
    reported = jobs.c.last_came_at >= scope.start
    # Regular seems a job without expectation that reported in each of the two periods before. Once only proves nothing: a weekly job
    # would count as not heard from on the morning after. A job with an expectation is due when that says, and before that not missed.
    length = scope.end - scope.start
    before, earlier = scope.start - length, scope.start - 2 * length
    ran_earlier = exists().where(runs.c.job_id == jobs.c.id, runs.c.ended_at >= earlier, runs.c.ended_at < before)
    seems_regular = and_(WITHOUT_EXPECTATION, jobs.c.last_came_at >= before, ran_earlier)
    expected = or_(fell_due, and_(jobs.c.last_due_at.is_(None), or_(reported, seems_regular)))
    counted = {
        **_STATES,
        "expected": expected,
        "heard": and_(expected, reported),
        "without_expectation": WITHOUT_EXPECTATION,
        "unconfirmed": jobs.c.proposed_expectation.is_not(None),
    }
    sums = [func.sum(case((condition, 1), else_=0)).label(name) for name, condition in counted.items()]
    return _jobs(func.count().label("jobs"), *sums).where(scope.matches)


def _unclear_runs(scope: SummaryScope) -> Select[Any]:
    """Return the query that counts the runs of the period of which nobody can tell how they ended."""
    unclear = runs.c.outcome == RunOutcome.UNCLEAR, _IS_TROUBLE, runs.c.id >= first_id_at("run", scope.start)
    ended = runs.c.ended_at >= scope.start, runs.c.ended_at < scope.end
    return _jobs(func.count()).join(runs, runs.c.job_id == jobs.c.id).where(scope.matches, *unclear, *ended)


def _jobs(*columns: Any) -> Select[Any]:  # noqa: ANN401  (whatever can be selected)
    return (
        select(*columns)
        .select_from(jobs)
        .join(agents, agents.c.id == jobs.c.agent_id)
        .join(customers, customers.c.id == jobs.c.customer_id)
    )


async def _sections(
    tx: ReadTx, scope: SummaryScope, counts: Row[Any], silences: Sequence[Silence]
) -> tuple[Section, ...]:
    recovered = exists().where(
        alerts.c.subject_id == jobs.c.id,
        alerts.c.closed_at >= scope.start,
        alerts.c.closed_at < scope.end,
        alerts.c.kind.in_((AlertKind.FAILED, AlertKind.MISSED)),
    )
    columns = (
        jobs,
        agents.c.name.label("agent"),
        agents.c.labels.label("agent_labels"),
        customers.c.name.label("customer"),
    )
    rows: dict[str, Sequence[Row[Any]]] = {}
    text_of = select(alerts.c.message).where(_OPEN_UNCLEAR).order_by(alerts.c.id.desc()).limit(1).scalar_subquery()
    for title in ("failed", "missed", "unclear", "warning", "recovered", "new", "ok"):
        condition = and_(_STATES["ok"], ~_EXCUSED, recovered) if title == "recovered" else _STATES[title]
        shown = [*columns, text_of.label("unclear_text")] if title == "unclear" else columns
        listed = _jobs(*shown).where(scope.matches, condition)
        listed = listed.order_by(jobs.c.failing_since, customers.c.name, agents.c.name, jobs.c.name).limit(MOST[title])
        rows[title] = (await tx.connection.execute(listed)).all()
    recovered_ids = {row.id for row in rows["recovered"]}
    rows["ok"] = [row for row in rows["ok"] if row.id not in recovered_ids]
    strips = await _strips(tx, [row for found in rows.values() for row in found], scope.today)
    sections: list[Section] = []
    silenced: list[JobLine] = []
    for title, found in rows.items():
        lines = [_job_line(row, strips.get(row.id, {}), scope.today, silences) for row in found]
        if title in ("failed", "missed", "unclear", "warning"):
            silenced += [line for line in lines if line.silenced_until]
            lines = [line for line in lines if not line.silenced_until]
        total = len(found) if title == "recovered" else int(getattr(counts, title) or 0)
        left_out = max(0, total - len(found) - (len(recovered_ids) if title == "ok" else 0))
        sections.append(Section(title, tuple(lines), left_out))
    sections.insert(5, Section("silenced", tuple(silenced), 0))
    return tuple(section for section in sections if section.lines or section.more)


def _job_line(row: Row[Any], cells: Mapping[date, DayCell], today: date, silences: Sequence[Silence]) -> JobLine:
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
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
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
        strip=tuple(cells.get(day, DayCell(day, 0, 0, 0, 0, 0, 0, 0, 0.0)) for day in days),
    )


async def _strips(tx: ReadTx, found: Sequence[Row[Any]], today: date) -> Mapping[str, Mapping[date, DayCell]]:
    """Return the last days of the listed jobs, by job id and day."""
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
    """Return the sums over all jobs of the newest full day, and the mean of those days before that have any."""
    names = ("bytes_processed", "bytes_stored", "duration_s")
    query = select(job_days.c.day, *(func.sum(job_days.c[name]).label(name) for name in names))
    if not scope.is_all:
        chosen = _jobs(jobs.c.id).where(scope.matches)
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
