"""Gathers what a message tells of alerts: the read model behind alert mails. It must not word anything."""

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


class _Told(NamedTuple):
    recipient_id: str
    alert_id: str


async def read_alert_views(tx: ReadTx, told: Sequence[Notice]) -> dict[str, AlertView]:
    """Give the story of each notice about an alert, by notice id."""
    ids = {notice.alert_id for notice in told if notice.alert_id}
    found = {row.id: row for row in await tx.connection.execute(_everything().where(alerts.c.id.in_(ids)))}
    proofs = await _proofs(tx, {row.event_id for row in found.values() if row.event_id})
    threads = await _threads(tx, told)
    return {
        notice.id: _story(
            notice,
            found[notice.alert_id or ""],
            proofs,
            threads.get(_Told(notice.recipient_id or "", notice.alert_id or "")),
        )
        for notice in told
        if notice.alert_id in found
    }


def _everything() -> Any:  # noqa: ANN401  (a select of many tables)
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


async def _proofs(tx: ReadTx, event_ids: Iterable[str]) -> Mapping[str, Row[Any]]:
    """The events that alerts rest on, with the tail of their log; a log can be long."""
    tail = func.substr(events.c.log, -TAIL) if tx.is_sqlite else func.right(events.c.log, TAIL)
    columns = (events.c.id, events.c.run_id, events.c.metrics, events.c.occurred_at, events.c.extra, tail.label("tail"))
    query = select(*columns, runs.c.started_at, runs.c.ended_at).outerjoin(runs, runs.c.id == events.c.run_id)
    rows: Result[Any] = await tx.connection.execute(query.where(events.c.id.in_(set(event_ids))))
    return {str(row.id): row for row in rows.all()}


async def _threads(tx: ReadTx, told: Sequence[Notice]) -> Mapping[_Told, str]:
    """The Message-ID under which each recipient first heard of each alert: later mails go below it."""
    ids = {notice.alert_id for notice in told if notice.alert_id}
    rows = await tx.connection.execute(
        select(notices.c.recipient_id, notices.c.alert_id, messages.c.message_id)
        .join(messages, messages.c.id == notices.c.message_id)
        .where(notices.c.alert_id.in_(ids), notices.c.state == NoticeState.WORDED)
        .order_by(notices.c.id.desc())
    )
    return {_Told(row.recipient_id, row.alert_id): row.message_id for row in rows}


def _story(notice: Notice, row: Row[Any], proofs: Mapping[str, Row[Any]], thread_id: str | None) -> AlertView:
    proof = proofs.get(row.event_id or "")
    slot: datetime | None = proof.occurred_at if proof is not None and row.kind == AlertKind.MISSED else None
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
        log_tail=proof.tail if proof is not None else None,
        metrics={} if proof is None else _metrics(proof),
        run_id=proof.run_id if proof is not None else None,
        thread_id=thread_id,
        habit=(proof.extra or {}).get(HABIT) if slot is not None and proof is not None else None,
        told_at=notice.due_at,
    )


def _metrics(proof: Row[Any]) -> dict[str, float]:
    """What the agent measured; if not how long it took, then what its start and end say."""
    measured = dict(proof.metrics or {})
    if proof.started_at is not None and proof.ended_at is not None and proof.ended_at > proof.started_at:
        measured.setdefault("duration_s", (proof.ended_at - proof.started_at).total_seconds())
    return measured
