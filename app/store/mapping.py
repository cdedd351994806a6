"""Turns rows into the domain's frozen types and back. Rows never leave the store; this is where they end."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Row

from app.domain.alert import Alert, AlertKind
from app.domain.event import Activity, Event, EventKind, Phase, RunOutcome, Severity
from app.domain.notice import Notice, NoticeKind, NoticeState
from app.domain.run import Run

# A clock that is ahead must not hide what follows: a success from tomorrow would outrank tonight's failures.
CLOCKS_DIFFER = timedelta(minutes=5)


def event_from(row: Row[Any]) -> Event:
    """Read an event, without its log: it is long, and nothing decides by it."""
    return Event(
        id=row.id,
        customer_id=row.customer_id,
        agent_id=row.agent_id,
        key=row.key,
        occurred_at=min(row.occurred_at, row.received_at + CLOCKS_DIFFER),
        received_at=row.received_at,
        kind=EventKind(row.kind),
        job=row.job,
        run=row.run,
        activity=Activity(row.activity),
        phase=None if row.phase is None else Phase(row.phase),
        outcome=None if row.outcome is None else RunOutcome(row.outcome),
        severity=Severity(row.severity),
        message=row.message,
        metrics=row.metrics or {},
        labels=row.labels or {},
        extra=row.extra or {},
        flags=tuple(row.flags or ()),
    )


def run_from(row: Row[Any]) -> Run:
    """Read a run."""
    named = {name: getattr(row, name) for name in Run.__slots__ if name not in ("outcome", "severity", "metrics")}
    return Run(
        **named,
        outcome=None if row.outcome is None else RunOutcome(row.outcome),
        severity=Severity(row.severity),
        metrics=row.metrics or {},
    )


def alert_from(row: Row[Any]) -> Alert:
    """Read an alert, without the facts that matchers ask for."""
    named = {name: getattr(row, name) for name in Alert.__slots__ if name not in ("kind", "severity", "facts")}
    return Alert(**named, kind=AlertKind(row.kind), severity=Severity(row.severity))


def notice_from(row: Row[Any]) -> Notice:
    """Read a notice."""
    named = {name: getattr(row, name) for name in Notice.__slots__ if name not in ("what", "state")}
    return Notice(**named, what=NoticeKind(row.what), state=NoticeState(row.state))
