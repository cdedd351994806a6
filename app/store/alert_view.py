"""Reads what messages show of alerts: the read model behind alert mails."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Result, Row, func, select

from app.domain.alert import AlertKind
from app.domain.event import HABIT
from app.domain.mail_views import AlertView
from app.domain.notice import Notice, NoticeState
from app.store.mapping import alert_from
from app.store.tables import agents, alerts, customers, events, jobs, messages, notices, runs
from app.store.transactions import ReadTx

TAIL = 4096  # characters of a log that a message may show


class _Thread(NamedTuple):
    recipient_id: str
    alert_id: str


async def read_alert_views(tx: ReadTx, about: Sequence[Notice]) -> dict[str, AlertView]:
    """Return the view of each notice about an alert, by notice id."""
    ids = {notice.alert_id for notice in about if notice.alert_id}
    found = {row.id: row for row in await tx.connection.execute(_alerts_with_names().where(alerts.c.id.in_(ids)))}
    events_by_id = await _events(tx, {row.event_id for row in found.values() if row.event_id})
    threads = await _threads(tx, about)
    return {
        notice.id: _view(
            notice,
            found[notice.alert_id or ""],
            events_by_id,
            threads.get(_Thread(notice.recipient_id or "", notice.alert_id or "")),
        )
        for notice in about
        if notice.alert_id in found
    }


def _alerts_with_names() -> Any:  # noqa: ANN401  (a select of many tables)
    return (
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
        )
        .join(customers, customers.c.id == alerts.c.customer_id)
        .join(agents, agents.c.id == alerts.c.agent_id)
        .outerjoin(jobs, jobs.c.id == alerts.c.job_id)
    )


async def _events(tx: ReadTx, event_ids: Iterable[str]) -> Mapping[str, Row[Any]]:
    """Return the events that opened or repeated the alerts, by id, with the tail of their log; a log can be long."""
    tail = func.substr(events.c.log, -TAIL) if tx.is_sqlite else func.right(events.c.log, TAIL)
    columns = (events.c.id, events.c.run_id, events.c.metrics, events.c.occurred_at, events.c.extra, tail.label("tail"))
    query = select(*columns, runs.c.started_at, runs.c.ended_at).outerjoin(runs, runs.c.id == events.c.run_id)
    rows: Result[Any] = await tx.connection.execute(query.where(events.c.id.in_(set(event_ids))))
    return {str(row.id): row for row in rows.all()}


async def _threads(tx: ReadTx, about: Sequence[Notice]) -> Mapping[_Thread, str]:
    """Return the Message-ID of the first mail about each alert to each recipient: later mails refer to it."""
    ids = {notice.alert_id for notice in about if notice.alert_id}
    rows = await tx.connection.execute(
        select(notices.c.recipient_id, notices.c.alert_id, messages.c.message_id)
        .join(messages, messages.c.id == notices.c.message_id)
        .where(notices.c.alert_id.in_(ids), notices.c.state == NoticeState.WORDED)
        .order_by(notices.c.id.desc())
    )
    return {_Thread(row.recipient_id, row.alert_id): row.message_id for row in rows}


def _view(notice: Notice, row: Row[Any], events_by_id: Mapping[str, Row[Any]], thread_id: str | None) -> AlertView:
    event = events_by_id.get(row.event_id or "")
    slot: datetime | None = event.occurred_at if event is not None and row.kind == AlertKind.MISSED else None
    return AlertView(
        alert=alert_from(row),
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
        expected_at=slot,
        next_due_at=row.next_due_at,
        log_tail=event.tail if event is not None else None,
        metrics={} if event is None else _metrics(event),
        run_id=event.run_id if event is not None else None,
        thread_id=thread_id,
        habit=(event.extra or {}).get(HABIT) if slot is not None and event is not None else None,
        notice_due_at=notice.due_at,
    )


def _metrics(event: Row[Any]) -> dict[str, float]:
    """Return the metrics that the agent sent; without a duration, the time between start and end."""
    measured = dict(event.metrics or {})
    if event.started_at is not None and event.ended_at is not None and event.ended_at > event.started_at:
        measured.setdefault("duration_s", (event.ended_at - event.started_at).total_seconds())
    return measured
