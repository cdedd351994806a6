"""Reads the contents of mails about alerts (`domain/mail_views.py`). It does not word anything. Summaries: summary_views.py."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Result,
    Row,
    func,
    select,
)

from app.domain.agent import AgentState
from app.domain.alert import AlertKind
from app.domain.event import HABIT, READING
from app.domain.mail_views import AlertView
from app.domain.notice import Notice, NoticeState
from app.domain.zone_hint import RUNS_READ, zone_hint
from app.store.alerts import ALERTS
from app.store.row_mapping import expectation_of
from app.store.runs import newest_runs
from app.store.tables import agents, alerts, customers, events, jobs, messages, notices, runs
from app.store.transactions import ReadTx

MOST_HINTS = (
    50  # jobs whose runs are read for a hint; after an outage, thousands are missed at once, and none of them needs one
)
LOG_TAIL = LOG_HEAD = 4096  # characters of a log that a message may show
_ALERTS_WITH_JOBS = (
    select(
        alerts,
        customers.c.name.label("customer"),
        customers.c.time_zone,
        agents.c.name.label("agent"),
        agents.c.state.label("agent_state"),
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
    # Message-ID and subject of the first mail to each recipient about each alert: later mails are threaded below it.
    mails = await tx.connection.execute(
        select(notices.c.recipient_id, notices.c.alert_id, messages.c.message_id, messages.c.subject)
        .join(messages, messages.c.id == notices.c.message_id)
        .where(notices.c.alert_id.in_(alert_ids), notices.c.state == NoticeState.WORDED)
        .order_by(notices.c.id.desc())
    )
    threads = {(row.recipient_id, row.alert_id): (row.message_id, row.subject) for row in mails}
    hints = await _zone_hints(tx, found.values())
    views: dict[str, AlertView] = {}
    for notice in reported:
        alert = found.get(notice.alert_id)
        if alert is not None:
            thread_id, subject = threads.get((notice.recipient_id, notice.alert_id), (None, None))
            view = _alert_view(notice, alert, evidence.get(alert.event_id), thread_id)
            views[notice.id] = replace(view, zone_hint=hints.get(alert.job_id), thread_subject=subject)
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
    reading: object = None  # the words and the rule by which the text was read, if it was read from words
    if evidence is not None:
        reading = (evidence.extra or {}).get(READING)
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
        reading={name: str(text) for name, text in reading.items()} if isinstance(reading, Mapping) else None,
        habit=None if evidence is None or expected_at is None else (evidence.extra or {}).get(HABIT),
        notice_due_at=notice.due_at,
        agent_waits=row.agent_state == AgentState.WAITING,
    )
