"""Messages as administrators read them, the contents of mails about alerts, and refreshes of open alerts.

Only `outbox.py` and `outbox_at_once.py` lease messages and write their state. The contents of mails (`domain/mail_views.py`) are read here and worded in
`compose`; those of summaries are read in `summary_views.py`. A refresh repeats all open alerts to a program that ends what it does not
hear of again. Only the newest of a recipient is kept: they come every minute or hour, and say nothing that the messages about the alerts do not say.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, text
from sqlalchemy.sql.base import Executable

from app.core.ids import first_id_at
from app.domain.agent import AgentState
from app.domain.alert import Alert, AlertKind
from app.domain.event import HABIT, READING
from app.domain.mail_views import AlertView
from app.domain.message import SETTLED_STATES, Bodies, Message, MessageState
from app.domain.notice import URGENCY_CANARY, Notice, NoticeKind, NoticeState
from app.domain.recipient import Address
from app.domain.uncomposed import unmark
from app.domain.zone_hint import RUNS_READ, zone_hint
from app.store.alerts import ALERTS
from app.store.customers import Scope, alerts_of
from app.store.prepared import Builder, Prepared, Together, Values
from app.store.repository import IndexRanges, Page, Repository, Window, page_among, page_newest, split, tested
from app.store.row_mapping import UNREADABLE, expectation_of
from app.store.runs import last_good_runs, newest_runs
from app.store.tables import agents, alerts, attempts, bodies, customers, events, jobs, messages, notices, runs
from app.store.transactions import ReadTx, WriteTx

MESSAGES = Repository(messages, Message, noun="message", prefix="msg", newest_first=True)


@dataclass(frozen=True, slots=True)
class MessageFilters:
    """Which messages a list shows. Each field that is not None must be met."""

    scope: Scope
    state: MessageState | None = None
    transport: str | None = None
    recipient_id: str | None = None
    is_alert: bool | None = None


async def page_messages(tx: ReadTx, filters: MessageFilters, window: Window) -> Page[Message]:
    """Return the newest messages that meet the filters. Transport and `is_alert` are tested on each that the others find in an index."""
    scope = filters.scope
    same = {
        "recipient_id": filters.recipient_id,
        "customer_id": scope.customer_id,
        "state": filters.state,
        "transport": filters.transport,
    }
    is_alert = [] if filters.is_alert is None else [messages.c.is_alert.is_(filters.is_alert)]
    if scope.names_agent_or_job:
        # All messages about the agents or jobs of the scope, with their successors on other transports.
        of_alerts = notices.c.alert_id.in_(alerts_of(scope)), notices.c.message_id.is_not(None)
        about = select(notices.c.message_id.label("id")).where(*of_alerts).cte("about", recursive=True)
        # A scalar subquery for each row, not a join: for a join PostgreSQL would read all messages.
        successor = select(messages.c.moved_to).where(messages.c.id == about.c.id).correlate(about).scalar_subquery()
        about = about.union(select(successor).where(about.c.id.is_not(None)))
        ids = await tx.connection.scalars(select(about.c.id).where(about.c.id.is_not(None)))
        return await page_among(tx, MESSAGES, ids, [*tested(messages, **same), *is_alert], window)
    ranges = await _ranges(tx, filters)
    found_by = {column.name for column in ranges.columns}
    where = tested(messages, **{name: value for name, value in same.items() if name not in found_by})
    return await page_newest(tx, MESSAGES, ranges, [*where, *is_alert], window)


async def addresses_reported_to(tx: ReadTx, recipient_id: str, alert_ids: Collection[str]) -> set[Address]:
    """Return the addresses of a recipient that were sent messages about these alerts, may have been, or are about to be."""
    about = notices.c.alert_id.in_(alert_ids), notices.c.recipient_id == recipient_id
    first = select(notices.c.message_id.label("id")).where(*about, notices.c.message_id.is_not(None))
    chain = first.cte("chain", recursive=True)
    successor = select(messages.c.moved_to).where(messages.c.id == chain.c.id).correlate(chain).scalar_subquery()
    chain = chain.union(select(successor).where(chain.c.id.is_not(None)))
    went = messages.c.state.in_((MessageState.SENT, MessageState.UNKNOWN, MessageState.LEASED, MessageState.QUEUED))
    query = select(messages.c.transport, messages.c.address).distinct()
    query = query.where(messages.c.id.in_(select(chain.c.id)), or_(went, messages.c.maybe_sent))
    return {Address(row.transport, row.address) for row in await tx.connection.execute(query)}


async def _ranges(tx: ReadTx, filters: MessageFilters) -> IndexRanges:
    """Choose the shortest part of an index that holds all messages asked for."""
    every = IndexRanges(messages)
    if filters.recipient_id is not None:
        return every.by(messages.c.recipient_id, [filters.recipient_id])
    states = tuple(MessageState) if filters.state is None else (filters.state,)
    if filters.scope.customer_id is not None:
        return every.by(messages.c.customer_id, [filters.scope.customer_id]).by(messages.c.state, states)
    if filters.state is not None:
        return (await split(tx, every, messages.c.customer_id)).by(messages.c.state, states)
    return every


async def dead_ids(
    tx: ReadTx, transport: str | None, cause: str | None, recipient_id: str | None, *, before: str | None, limit: int
) -> list[str]:
    """Return the ids of dead messages, the newest first. `cause` is the code of their last attempt; `before`: only older ones."""
    newest = messages.c.id.label("id")
    is_dead = messages.c.state == MessageState.DEAD, messages.c.urgency < URGENCY_CANARY  # a canary is not sent again
    query = select(newest).where(*is_dead).order_by(messages.c.id.desc()).limit(limit)
    for column, wanted in ((messages.c.transport, transport), (messages.c.recipient_id, recipient_id)):
        if wanted is not None:
            query = query.where(column == wanted)
    if before is not None:
        query = query.where(messages.c.id < before)
    if cause is not None:
        later = attempts.alias("later")
        has_later = select(later.c.id).where(
            later.c.message_id == attempts.c.message_id, later.c.number > attempts.c.number
        )
        of_cause = select(attempts.c.id).where(
            attempts.c.message_id == messages.c.id, attempts.c.code == cause, ~has_later.exists()
        )
        query = query.where(of_cause.exists())
    return list(await tx.connection.scalars(query))


class DeadCause(NamedTuple):
    """Why messages were given up: their transport, the code of their last attempt, and how many they are."""

    transport: str
    code: str
    messages: int


async def causes_of_dead(tx: ReadTx, limit: int) -> list[DeadCause]:
    """Return the causes of all dead messages, those of most messages first, as `dead_ids` finds them. Reads the index of dead messages."""
    later = attempts.alias("later")
    has_later = select(later.c.id).where(
        later.c.message_id == attempts.c.message_id, later.c.number > attempts.c.number
    )
    number = func.count().label("number")
    # The condition of the partial index, word for word: SQLite uses the index only so.
    query = (
        select(messages.c.transport, attempts.c.code, number)
        .join_from(messages, attempts, attempts.c.message_id == messages.c.id)
        .where(text("messages.state = 'dead'"), messages.c.urgency < URGENCY_CANARY)
        .where(attempts.c.code.is_not(None), attempts.c.code != "", ~has_later.exists())
        .group_by(messages.c.transport, attempts.c.code)
        .order_by(number.desc(), messages.c.transport, attempts.c.code)
        .limit(limit)
    )
    return [DeadCause(*row) for row in await tx.connection.execute(query)]


async def first_of_successors(tx: ReadTx, message: Message) -> Message:
    """Return the message that this one succeeds, over all moves: the one that the notices were worded into. Else the message itself."""
    first = message
    while first.moved_from is not None:
        before = await MESSAGES.find(tx, first.moved_from)
        if before is None:
            break
        first = before
    return first


async def bodies_of(tx: ReadTx, message_id: str) -> Bodies | None:
    """Return the finished bytes of a message; None where there is no such message."""
    query = select(bodies.c.mail, bodies.c.webhook).where(bodies.c.message_id == message_id)
    row = (await tx.connection.execute(query)).one_or_none()
    return None if row is None else Bodies(mail=row.mail, webhook=row.webhook)


MOST_HINTS = (
    50  # jobs whose runs are read for a hint; after an outage, thousands are missed at once, and none of them needs one
)
LOG_TAIL = LOG_HEAD = 4096  # characters of a log that a message may show


class _About(NamedTuple):
    """What an alert is about, in the order of the columns of `_build_alerts`."""

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
    """The event that an alert rests on, in the order of the columns of `_build_events`. A log can be long: only its ends are read."""

    id: str
    run_id: str | None
    metrics: dict[str, float] | None
    occurred_at: datetime
    extra: dict[str, Any] | None
    tail: str | None
    head: str | None
    started_at: datetime | None
    ended_at: datetime | None


_IsWanted = Callable[[ColumnElement[str], Builder], ColumnElement[bool]]  # the condition for ids of alerts


def _build_alerts(is_wanted: _IsWanted, db: Builder) -> Executable:
    of_job = (
        *(jobs.c.name, jobs.c.activity, jobs.c.last_success_at, jobs.c.failures_in_row, jobs.c.missed_in_row),
        *(jobs.c.warnings_in_row, jobs.c.next_due_at, jobs.c.expectation),
    )
    return (
        select(*ALERTS.mapping.columns, customers.c.name, customers.c.time_zone, agents.c.name, agents.c.state, *of_job)
        .join_from(alerts, customers, customers.c.id == alerts.c.customer_id)
        .join(agents, agents.c.id == alerts.c.agent_id)
        .outerjoin(jobs, jobs.c.id == alerts.c.job_id)
        .where(is_wanted(alerts.c.id, db))
    )


def _build_events(is_wanted: _IsWanted, db: Builder) -> Executable:
    tail = func.substr(events.c.log, -LOG_TAIL) if db.is_sqlite else func.right(events.c.log, LOG_TAIL)
    head = func.substr(events.c.log, 1, LOG_HEAD)
    columns = (events.c.id, events.c.run_id, events.c.metrics, events.c.occurred_at, events.c.extra)
    found = select(*columns, tail.label("tail"), head.label("head"), runs.c.started_at, runs.c.ended_at)
    found = found.join_from(alerts, events, events.c.id == alerts.c.event_id)
    return found.outerjoin(runs, runs.c.id == events.c.run_id).where(is_wanted(alerts.c.id, db))


def _build_first_mails(is_wanted: _IsWanted, db: Builder) -> Executable:
    """Select the mails about alerts, the first one to each recipient last."""
    return (
        select(notices.c.recipient_id, notices.c.alert_id, messages.c.message_id, messages.c.subject)
        .join(messages, messages.c.id == notices.c.message_id)
        .where(is_wanted(notices.c.alert_id, db), notices.c.state == NoticeState.WORDED)
        .order_by(notices.c.id.desc())
    )


def alert_reads(is_wanted: _IsWanted) -> list[Prepared]:
    """Return the reads whose rows are `AlertRows`."""
    return [Prepared(partial(build, is_wanted)) for build in (_build_alerts, _build_events, _build_first_mails)]


class AlertRows(NamedTuple):
    """What notices about alerts are worded from, as the database returned it: the alerts, their evidence, the first mails about them."""

    alerts: Sequence[Values]
    events: Sequence[Values]
    mails: Sequence[Values]


_OF_ALERTS = Together(*alert_reads(lambda column, db: db.one_of(column, "ids")))
_WIDTH = len(ALERTS.mapping.columns)


async def read_alert_views(
    tx: ReadTx, reported: Sequence[Notice], rows: AlertRows | None = None
) -> dict[str, AlertView]:
    """Return the view of each notice about an alert, by notice id. `rows`: those of all these alerts, where they were read already."""
    alert_ids = sorted({notice.alert_id for notice in reported if notice.alert_id})
    if not alert_ids:
        return {}
    found: dict[str, tuple[Alert, _About]] = {}
    if rows is None:
        rows = AlertRows(*await tx.fetch_together(_OF_ALERTS, ids=alert_ids))
    for values in rows.alerts:
        alert = ALERTS.mapping.read_values(values[:_WIDTH])
        found[alert.id] = alert, _About(*values[_WIDTH:])
    evidence = {values[0]: _Evidence(*values) for values in rows.events}
    # Message-ID and subject of the first mail to each recipient about each alert: later mails are threaded below it.
    threads = {(recipient_id, alert_id): first for recipient_id, alert_id, *first in rows.mails}
    hints = await _zone_hints(tx, found.values())
    over = {notice.alert_id for notice in reported if notice.what is NoticeKind.RECOVERED}
    good = await last_good_runs(tx, {found[own][0].job_id or "" for own in over if own in found})
    views: dict[str, AlertView] = {}
    for notice in reported:
        if notice.alert_id in found:
            alert, about = found[notice.alert_id]
            thread = threads.get((notice.recipient_id, notice.alert_id), (None, None))
            views[notice.id] = _alert_view(
                notice, alert, about, evidence.get(alert.event_id or ""), thread, hints.get(alert.job_id or "")
            )
            if notice.what is NoticeKind.RECOVERED:
                views[notice.id] = replace(views[notice.id], good_run_id=good.get(alert.job_id or ""))
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


_REFRESH_KEPT_FOR = timedelta(hours=2)  # and looked for as long: never through the history of a recipient


@dataclass(frozen=True, slots=True)
class NewestRefresh:
    """When the newest one was made, and whether it waits to be sent or is being sent."""

    created_at: datetime
    is_settled: bool


async def open_alerts_of(tx: ReadTx, recipient_ids: Collection[str]) -> dict[str, list[str]]:
    """Return the ids of the open alerts that each of these recipients was notified of."""
    query = (
        select(notices.c.recipient_id, alerts.c.id)
        .distinct()
        .join_from(alerts, notices, notices.c.alert_id == alerts.c.id)
        .where(
            alerts.c.closed_at.is_(None),
            notices.c.state == NoticeState.WORDED,
            notices.c.recipient_id.in_(recipient_ids),
        )
    )
    found: dict[str, list[str]] = {}
    for recipient_id, alert_id in await tx.connection.execute(query.order_by(alerts.c.id)):
        found.setdefault(recipient_id, []).append(alert_id)
    return found


async def newest_refresh(tx: ReadTx, recipient_id: str, to: Address, now: datetime) -> NewestRefresh | None:
    """Return the newest refresh of an address; None if there was none lately."""
    query = select(messages.c.created_at, messages.c.state).where(*_refreshes_of(recipient_id, to, now))
    row = (await tx.connection.execute(query.order_by(messages.c.id.desc()).limit(1))).one_or_none()
    return None if row is None else NewestRefresh(row.created_at, row.state in SETTLED_STATES)


async def delete_refreshes(tx: WriteTx, recipient_id: str, to: Address, now: datetime) -> None:
    """Delete the settled refreshes of an address, with their attempts; if the newest one is dead, it stays."""
    query = select(messages.c.id, messages.c.state).where(
        *_refreshes_of(recipient_id, to, now), messages.c.state.in_(SETTLED_STATES)
    )
    settled = (await tx.connection.execute(query.order_by(messages.c.id.desc()))).all()
    keeps_newest = bool(settled) and settled[0].state == MessageState.DEAD
    if ids := [row.id for row in settled[keeps_newest:]]:
        for table, column in (
            (attempts, attempts.c.message_id),
            (bodies, bodies.c.message_id),
            (messages, messages.c.id),
        ):
            await tx.connection.execute(delete(table).where(column.in_(ids)))


def _refreshes_of(recipient_id: str, to: Address, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        messages.c.recipient_id == recipient_id,
        messages.c.id >= first_id_at("msg", now - _REFRESH_KEPT_FOR),
        messages.c.address == to.address,
        messages.c.transport == to.transport,
        messages.c.is_alert.is_(False),
    )


class UnendedAlert(NamedTuple):
    """A closed alert of a deleted job or agent that a recipient was sent, and not the end of it. `body`: the document that reported it."""

    alert_id: str
    customer_id: str
    closed_at: datetime
    reason: str
    recipient_id: str
    body: bytes | None


async def unended_of_deleted(
    tx: ReadTx, recipient_ids: Collection[str], since: datetime, limit: int
) -> list[UnendedAlert]:
    """Return those that were closed after `since` and reported to these recipients, one for each alert and recipient."""
    ends = notices.alias("ends")
    is_ended = (
        select(ends.c.id)
        .where(
            ends.c.alert_id == alerts.c.id,
            ends.c.recipient_id == notices.c.recipient_id,
            ends.c.what == NoticeKind.RECOVERED,
        )
        .exists()
    )
    query = (
        select(
            alerts.c.id,
            alerts.c.customer_id,
            alerts.c.closed_at,
            alerts.c.closed_reason,
            notices.c.recipient_id,
            bodies.c.webhook,
        )
        .join_from(alerts, notices, notices.c.alert_id == alerts.c.id)
        .outerjoin(bodies, bodies.c.message_id == notices.c.message_id)
        .outerjoin(agents, agents.c.id == alerts.c.agent_id)
        .outerjoin(jobs, jobs.c.id == alerts.c.job_id)
        .where(
            alerts.c.closed_at > since,
            or_(agents.c.id.is_(None), and_(alerts.c.job_id.is_not(None), jobs.c.id.is_(None))),
            notices.c.state == NoticeState.WORDED,
            notices.c.recipient_id.in_(recipient_ids),
            ~is_ended,
        )
        .order_by(alerts.c.id, notices.c.id.desc())
        .limit(limit)
    )
    found: dict[tuple[str, str], UnendedAlert] = {}
    for row in await tx.connection.execute(query):
        one = UnendedAlert(*row)
        found.setdefault((one.alert_id, one.recipient_id), one._replace(reason=one.reason or "closed"))
    return list(found.values())
