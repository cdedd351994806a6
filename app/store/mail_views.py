"""Reads the contents of mails about alerts (`domain/mail_views.py`). It does not word anything. Summaries: summary_views.py."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.sql.base import Executable

from app.domain.agent import AgentState
from app.domain.alert import Alert, AlertKind
from app.domain.event import HABIT, READING
from app.domain.mail_views import AlertView
from app.domain.notice import Notice, NoticeState
from app.domain.uncomposed import unmark
from app.domain.zone_hint import RUNS_READ, zone_hint
from app.store.alerts import ALERTS
from app.store.prepared import Builder, Prepared
from app.store.row_mapping import UNREADABLE, expectation_of
from app.store.runs import newest_runs
from app.store.tables import agents, alerts, customers, events, jobs, messages, notices, runs
from app.store.transactions import ReadTx

MOST_HINTS = (
    50  # jobs whose runs are read for a hint; after an outage, thousands are missed at once, and none of them needs one
)
LOG_TAIL = LOG_HEAD = 4096  # characters of a log that a message may show


class _About(NamedTuple):
    """What an alert is about, in the order of the columns of `_ALERTS`."""

    customer: str
    time_zone: str
    agent: str
    agent_state: str
    job: str | None
    activity: str | None
    last_success_at: datetime | None
    failures_in_row: int | None
    missed_in_row: int | None
    warnings_in_row: int | None
    next_due_at: datetime | None
    expectation: dict[str, Any] | None


class _Evidence(NamedTuple):
    """The event that an alert rests on, in the order of the columns of `_EVENTS`. A log can be long: only its ends are read."""

    id: str
    run_id: str | None
    metrics: dict[str, float] | None
    occurred_at: datetime
    extra: dict[str, Any] | None
    tail: str | None
    head: str | None
    started_at: datetime | None
    ended_at: datetime | None


def _build_alerts(db: Builder) -> Executable:
    of_job = (
        *(jobs.c.name, jobs.c.activity, jobs.c.last_success_at, jobs.c.failures_in_row, jobs.c.missed_in_row),
        *(jobs.c.warnings_in_row, jobs.c.next_due_at, jobs.c.expectation),
    )
    return (
        select(*ALERTS.mapping.columns, customers.c.name, customers.c.time_zone, agents.c.name, agents.c.state, *of_job)
        .join_from(alerts, customers, customers.c.id == alerts.c.customer_id)
        .join(agents, agents.c.id == alerts.c.agent_id)
        .outerjoin(jobs, jobs.c.id == alerts.c.job_id)
        .where(db.one_of(alerts.c.id, "ids"))
    )


def _build_events(db: Builder) -> Executable:
    tail = func.substr(events.c.log, -LOG_TAIL) if db.is_sqlite else func.right(events.c.log, LOG_TAIL)
    head = func.substr(events.c.log, 1, LOG_HEAD)
    columns = (events.c.id, events.c.run_id, events.c.metrics, events.c.occurred_at, events.c.extra)
    found = select(*columns, tail.label("tail"), head.label("head"), runs.c.started_at, runs.c.ended_at)
    return found.outerjoin(runs, runs.c.id == events.c.run_id).where(db.one_of(events.c.id, "ids"))


def _build_first_mails(db: Builder) -> Executable:
    """Select the mails about alerts, the first one to each recipient last."""
    return (
        select(notices.c.recipient_id, notices.c.alert_id, messages.c.message_id, messages.c.subject)
        .join(messages, messages.c.id == notices.c.message_id)
        .where(db.one_of(notices.c.alert_id, "alert_ids"), notices.c.state == NoticeState.WORDED)
        .order_by(notices.c.id.desc())
    )


_ALERTS, _EVENTS, _FIRST_MAILS = Prepared(_build_alerts), Prepared(_build_events), Prepared(_build_first_mails)
_WIDTH = len(ALERTS.mapping.columns)


async def read_alert_views(tx: ReadTx, reported: Sequence[Notice]) -> dict[str, AlertView]:
    """Return the view of each notice about an alert, by notice id."""
    alert_ids = sorted({notice.alert_id for notice in reported if notice.alert_id})
    if not alert_ids:
        return {}
    found: dict[str, tuple[Alert, _About]] = {}
    for values in await tx.fetch(_ALERTS, ids=alert_ids):
        alert = ALERTS.mapping.read_values(values[:_WIDTH])
        found[alert.id] = alert, _About(*values[_WIDTH:])
    event_ids = sorted({alert.event_id for alert, _ in found.values() if alert.event_id})
    evidence = {values[0]: _Evidence(*values) for values in await tx.fetch(_EVENTS, ids=event_ids)}
    # Message-ID and subject of the first mail to each recipient about each alert: later mails are threaded below it.
    mails = await tx.fetch(_FIRST_MAILS, alert_ids=alert_ids)
    threads = {(recipient_id, alert_id): first for recipient_id, alert_id, *first in mails}
    hints = await _zone_hints(tx, found.values())
    views: dict[str, AlertView] = {}
    for notice in reported:
        if notice.alert_id in found:
            alert, about = found[notice.alert_id]
            thread = threads.get((notice.recipient_id, notice.alert_id), (None, None))
            views[notice.id] = _alert_view(
                notice, alert, about, evidence.get(alert.event_id or ""), thread, hints.get(alert.job_id or "")
            )
    return views


async def _zone_hints(tx: ReadTx, found: Iterable[tuple[Alert, _About]]) -> Mapping[str, str]:
    """Return, by job, that the time zone of its expectation may be wrong, for jobs with an alert of a missed run."""
    expected = {
        alert.job_id: about.expectation
        for alert, about in found
        if alert.kind is AlertKind.MISSED and alert.job_id and about.expectation
    }
    asked = sorted(expected)[:MOST_HINTS]
    newest = await newest_runs(tx, asked, RUNS_READ)
    hints: dict[str, str] = {}
    for job_id in asked:
        with suppress(*UNREADABLE):  # another version wrote the expectation: the alert is sent without a hint
            if (hint := zone_hint(expectation_of(expected[job_id]), newest[job_id])) is not None:
                hints[job_id] = hint
    return hints


def _alert_view(
    notice: Notice,
    alert: Alert,
    about: _About,
    evidence: _Evidence | None,
    thread: Sequence[str | None],
    zone_hint: str | None,
) -> AlertView:
    """Return the view of one notice. `evidence` is the event that the alert rests on, unless it was deleted; `thread`, the first mail."""
    thread_id, thread_subject = thread
    expected_at: datetime | None = None
    metrics: dict[str, float] = {}
    reading: object = None  # the words and the rule by which the text was read, if it was read from words
    if evidence is not None:
        reading = (evidence.extra or {}).get(READING)
        if alert.kind is AlertKind.MISSED:
            expected_at = evidence.occurred_at
        metrics = dict(evidence.metrics or {})
        began, ended = evidence.started_at, evidence.ended_at
        if began is not None and ended is not None and ended > began:  # where the agent did not measure the duration
            metrics.setdefault("duration_s", (ended - began).total_seconds())
    return AlertView(
        alert=alert,
        what=notice.what,
        reason=unmark(notice.reason),
        customer=about.customer,
        time_zone=about.time_zone,
        agent=about.agent,
        job=about.job,
        activity=about.activity or "",
        last_success_at=about.last_success_at,
        failures_in_row=about.failures_in_row or 0,
        missed_in_row=about.missed_in_row or 0,
        warnings_in_row=about.warnings_in_row or 0,
        expected_at=expected_at,
        next_due_at=about.next_due_at,
        log_tail=None if evidence is None else evidence.tail,
        metrics=metrics,
        run_id=None if evidence is None else evidence.run_id,
        thread_id=thread_id,
        log_head=evidence.head if evidence is not None and alert.kind is AlertKind.UNCLEAR else None,
        reading={name: str(text) for name, text in reading.items()} if isinstance(reading, Mapping) else None,
        habit=None if evidence is None or expected_at is None else (evidence.extra or {}).get(HABIT),
        notice_due_at=notice.due_at,
        zone_hint=zone_hint,
        thread_subject=thread_subject,
        agent_waits=about.agent_state == AgentState.WAITING,
    )
