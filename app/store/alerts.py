"""Alerts: opened once, repeated, acknowledged, closed, listed, and shown with the names of what they are about.

What a mail shows of them is read in `messages.py`.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, String, Update, bindparam, delete, func, insert, or_, select, update

from app.domain.alert import Alert, AlertKind, AlertState
from app.domain.event import Severity, StoredEvent
from app.domain.notice import NoticeState
from app.domain.outside_change import OLDEST, OutsideChange
from app.domain.problem import NamedAlert
from app.store.customers import Scope, agent_ids, job_ids, jobs_of, named_agents
from app.store.notices import suppress_waiting
from app.store.prepared import Builder, Prepared, Values
from app.store.repository import MAX_RANGES, IndexRanges, Page, Repository, Window, page_newest, tested
from app.store.row_mapping import readable
from app.store.tables import agents, alerts, customers, events, jobs, notices, runs
from app.store.tables_managed import outside_changes
from app.store.transactions import ReadTx, WriteTx

STORED = tuple(name for name in Alert.__slots__ if name != "facts")
ALERTS = Repository(alerts, Alert, noun="alert", prefix="alr", newest_first=True, without=("facts",))


@dataclass(frozen=True, slots=True)
class AlertFilters:
    """Which alerts a list shows. Each field that is not None must be met."""

    scope: Scope
    state: AlertState | None = None
    kind: AlertKind | None = None
    severity: Severity | None = None


_REPEATED = ("repeats", "last_at", "message", "event_id", "severity")


def _build_open(db: Builder) -> Select[Values]:
    wanted = db.table("subjects", customer_id=String, subject_id=String)
    same = (alerts.c.customer_id == wanted.c.customer_id) & (alerts.c.subject_id == wanted.c.subject_id)
    # An outer join whose empty rows are left out: for an inner one SQLite reads all open alerts there are, and it takes IS NOT NULL
    # as one.
    is_open = same & alerts.c.closed_at.is_(None)
    found = select(*ALERTS.mapping.columns).join_from(wanted, alerts, is_open, isouter=True)
    return found.where(func.coalesce(alerts.c.id, "") != "")


def _build_save(names: tuple[str, ...], _: Builder) -> Update:
    values = {name: bindparam(name, type_=alerts.c[name].type) for name in names}
    return update(alerts).where(alerts.c.id == bindparam("of_id")).values(values)


OPEN_ALERTS = Prepared(_build_open)
_LOCK = Prepared(
    lambda db: select(alerts.c.id).where(db.one_of(alerts.c.id, "ids")).order_by(alerts.c.id).with_for_update()
)
_INSERT = Prepared(lambda db: db.insert_each(alerts, STORED))
_SAVE_REPEAT = Prepared(partial(_build_save, _REPEATED))
_CLOSE = Prepared(partial(_build_save, ("closed_at", "closed_reason")))
_ENDED = Prepared(
    lambda db: select(alerts.c.id, alerts.c.closed_at).where(
        db.one_of(alerts.c.id, "ids"), alerts.c.closed_at.is_not(None)
    )
)


async def ended_alerts(tx: ReadTx, ids: Collection[str]) -> dict[str, datetime]:
    """Return those of `ids` that are closed, with the time at which they were."""
    rows = await tx.fetch(_ENDED, ids=sorted(ids)) if ids else []
    return {alert_id: closed_at for alert_id, closed_at in rows if closed_at is not None}


async def page_alerts(tx: ReadTx, filters: AlertFilters, window: Window) -> Page[Alert]:
    """Return the newest alerts that meet the filters. Kind and severity are tested on each alert that the others find in an index."""
    scope = filters.scope
    ranges = await _ranges(tx, filters)
    same = {
        "customer_id": scope.customer_id,
        "agent_id": scope.agent_id,
        "subject_id": scope.job_id,  # a job's alerts have it as their subject
        "kind": filters.kind,
        "severity": filters.severity,
    }
    found_by = {column.name for column in ranges.columns}
    where = tested(alerts, **{name: value for name, value in same.items() if name not in found_by})
    if scope.agent is not None and "agent_id" not in found_by:
        where.append(func.coalesce(alerts.c.agent_id, "").in_(named_agents(scope)))
    if scope.job is not None and "subject_id" not in found_by:
        where.append(func.coalesce(alerts.c.subject_id, "").in_(jobs_of(scope)))
    if filters.state is AlertState.CLOSED:
        where.append(alerts.c.closed_at.is_not(None))
    elif filters.state is not None:
        where.append(alerts.c.closed_at.is_(None))
    if filters.state is AlertState.ACKNOWLEDGED:
        where.append(alerts.c.acknowledged_at.is_not(None))
    return await page_newest(tx, ALERTS, ranges, where, window)


async def _ranges(tx: ReadTx, filters: AlertFilters) -> IndexRanges:
    """Choose the shortest part of an index that holds all alerts asked for."""
    scope, every = filters.scope, IndexRanges(alerts)
    if filters.state in (AlertState.OPEN, AlertState.ACKNOWLEDGED):
        return every  # few are open at a time, and they have an index of their own
    if scope.job is not None:
        jobs = await job_ids(tx, scope)
        if len(jobs) <= MAX_RANGES:
            return every.by(alerts.c.subject_id, jobs)
    elif scope.job_id is not None:
        return every.by(alerts.c.subject_id, [scope.job_id])
    agents = await agent_ids(tx, scope)
    if agents is not None and len(agents) <= MAX_RANGES:
        return every.by(alerts.c.agent_id, agents)
    return every if scope.customer_id is None else every.by(alerts.c.customer_id, [scope.customer_id])


async def open_alerts(tx: ReadTx, subjects: Iterable[tuple[str, str]]) -> dict[str, list[Alert]]:
    """Return the open alerts by subject (the id of a job or agent). `subjects`: the customer of each, and the subject."""
    wanted = sorted(set(subjects))
    # By the index of open alerts, which begins with the customer: a job may have any number of closed ones.
    return alerts_by_subject(await tx.fetch(OPEN_ALERTS, subjects=wanted)) if wanted else {}


def alerts_by_subject(rows: Iterable[Values]) -> dict[str, list[Alert]]:
    """Return the alerts that rows of all their columns hold, by subject."""
    found: dict[str, list[Alert]] = {}
    for values in rows:
        alert = ALERTS.mapping.read_values(values)
        found.setdefault(alert.subject_id, []).append(alert)
    return found


async def lock_alerts(tx: WriteTx, ids: Iterable[str]) -> dict[str, Alert]:
    """Return alerts by id, locked, without those that cannot be read: closed meanwhile, an alert would be reported as still failing although it recovered."""
    rows = await tx.connection.execute(
        select(alerts).where(alerts.c.id.in_(set(ids))).order_by(alerts.c.id).with_for_update()
    )
    return {alert.id: alert for alert in readable(rows, ALERTS.mapping.read, "alert")}


async def lock_in_order(tx: WriteTx, ids: Collection[str]) -> None:
    """Lock alerts in the order of their ids, as `lock_alerts` does, so that two workers cannot deadlock. SQLite has one writer."""
    if len(ids) > 1 and not tx.is_sqlite:
        await tx.fetch(_LOCK, ids=sorted(ids))


async def insert_alerts(tx: WriteTx, opened: Sequence[Alert]) -> None:
    """Store opened alerts. The partial unique index keeps a subject from having two open ones of a kind."""
    await tx.change_each(_INSERT, [{name: getattr(alert, name) for name in STORED} for alert in opened])


async def save_repeats(tx: WriteTx, repeated: Sequence[Alert]) -> None:
    """Store what changed on alerts that repeated."""
    await tx.change_each(
        _SAVE_REPEAT, [{"of_id": a.id, **{name: getattr(a, name) for name in _REPEATED}} for a in repeated]
    )


async def close_alerts(tx: WriteTx, closed: Sequence[tuple[Alert, str]], now: datetime) -> None:
    """Close alerts with the reason of each."""
    await tx.change_each(_CLOSE, [{"of_id": a.id, "closed_at": now, "closed_reason": reason} for a, reason in closed])


async def lock_alert(tx: WriteTx, alert_id: str) -> Alert | None:
    """Return one alert, locked until the commit; None if there is none."""
    row = (await tx.connection.execute(select(alerts).where(alerts.c.id == alert_id).with_for_update())).one_or_none()
    return None if row is None else ALERTS.mapping.read(row)


async def acknowledge(tx: WriteTx, alert_id: str, who: str, who_id: str | None, now: datetime) -> None:
    """Note who took the alert on; its notices are not repeated any more."""
    taken = (
        update(alerts)
        .where(alerts.c.id == alert_id)
        .values(acknowledged_at=now, acknowledged_by=who, acknowledged_by_id=who_id)
    )
    await tx.connection.execute(taken)


async def release_acknowledged(tx: WriteTx, at: datetime, who_id: str) -> list[str]:
    """Let nobody have the open alerts again that this person acknowledged at this moment; return their ids."""
    taken = alerts.c.closed_at.is_(None), alerts.c.acknowledged_at == at, alerts.c.acknowledged_by_id == who_id
    freed = update(alerts).where(*taken).values(acknowledged_at=None, acknowledged_by=None, acknowledged_by_id=None)
    return list((await tx.connection.execute(freed.returning(alerts.c.id))).scalars())


async def release(tx: WriteTx, alert_id: str, at: datetime) -> bool:
    """Let nobody have an open alert again that was acknowledged at this moment; return whether it was so."""
    taken = alerts.c.id == alert_id, alerts.c.closed_at.is_(None), alerts.c.acknowledged_at == at
    freed = update(alerts).where(*taken).values(acknowledged_at=None, acknowledged_by=None, acknowledged_by_id=None)
    return (await tx.connection.execute(freed)).rowcount == 1


async def has_open_alert(tx: ReadTx, customer_id: str, agent_id: str, job_id: str | None) -> bool:
    """Return whether an alert of a job is open; `job_id` None: of the agent or of any of its jobs."""
    own = alerts.c
    wanted = [own.customer_id == customer_id, own.agent_id == agent_id, own.closed_at.is_(None)]
    wanted += [] if job_id is None else [own.job_id == job_id]
    return (await tx.connection.execute(select(own.id).where(*wanted).limit(1))).first() is not None


class OpenState(NamedTuple):
    """An open alert that a recipient was notified of, with what the name of a service may contain."""

    recipient_id: str
    id: str
    kind: str
    severity: str
    customer: str
    agent: str
    job: str | None
    activity: str | None


async def open_states_of(tx: ReadTx, recipient_ids: Collection[str], kinds: Collection[str]) -> list[OpenState]:
    """Return the open alerts of these kinds that each of these recipients was notified of."""
    columns = (
        notices.c.recipient_id,
        alerts.c.id,
        alerts.c.kind,
        alerts.c.severity,
        customers.c.name,
        agents.c.name,
        jobs.c.name,
        jobs.c.activity,
    )
    query = (
        select(*columns)
        .distinct()
        .join_from(alerts, notices, notices.c.alert_id == alerts.c.id)
        .join(customers, customers.c.id == alerts.c.customer_id)
        .join(agents, agents.c.id == alerts.c.agent_id)
        .outerjoin(jobs, jobs.c.id == alerts.c.job_id)
        .where(
            alerts.c.closed_at.is_(None),
            alerts.c.kind.in_(kinds),
            notices.c.state == NoticeState.WORDED,
            notices.c.recipient_id.in_(recipient_ids),
        )
    )
    return [OpenState(*row) for row in await tx.connection.execute(query)]


async def closed_between(tx: ReadTx, since: datetime, until: datetime) -> list[str]:
    """Return the ids of alerts of present jobs and agents that were closed after `since` and by `until`: those of deleted ones have no names any more."""
    query = (
        select(alerts.c.id)
        .join(agents, agents.c.id == alerts.c.agent_id)
        .outerjoin(jobs, jobs.c.id == alerts.c.job_id)
        .where(alerts.c.closed_at > since, alerts.c.closed_at <= until)
        .where(or_(alerts.c.job_id.is_(None), jobs.c.id.is_not(None)))
    )
    return list((await tx.connection.execute(query)).scalars())


async def closed_alerts(tx: ReadTx, ids: Collection[str]) -> list[Alert]:
    """Return those of these alerts that are closed and can be read."""
    query = select(*ALERTS.mapping.columns).where(alerts.c.id.in_(ids), alerts.c.closed_at.is_not(None))
    return readable(await tx.connection.execute(query), ALERTS.mapping.read, "alert")


async def lock_closed_at(tx: WriteTx, at: datetime) -> list[Alert]:
    """Return the alerts that were closed at exactly this moment, locked until the commit."""
    closed = select(alerts).where(alerts.c.closed_at == at).order_by(alerts.c.id).with_for_update()
    return [ALERTS.mapping.read(row) for row in await tx.connection.execute(closed)]


async def reopen(tx: WriteTx, closed: Sequence[Alert]) -> list[Alert]:
    """Open these alerts again, except where a newer one of the same subject, kind and form is open; return those that are open again."""
    newer = await open_alerts(tx, [(alert.customer_id, alert.subject_id) for alert in closed])
    free = [
        alert
        for alert in closed
        if not any((it.kind, it.form) == (alert.kind, alert.form) for it in newer.get(alert.subject_id, ()))
    ]
    again = update(alerts).where(alerts.c.id.in_([alert.id for alert in free]))
    await tx.connection.execute(again.values(closed_at=None, closed_reason=None))
    return free


async def close_missed(tx: WriteTx, job_id: str, reason: str, now: datetime) -> None:
    """Close the open alerts that say that the job did not run, and suppress their notices that still wait."""
    missed = alerts.c.subject_id == job_id, alerts.c.kind == AlertKind.MISSED, alerts.c.closed_at.is_(None)
    rows = await tx.connection.execute(select(alerts).where(*missed).with_for_update())
    found = [ALERTS.mapping.read(row) for row in rows]
    await close_alerts(tx, [(alert, reason) for alert in found], now)
    await suppress_waiting(tx, {alert.id: reason for alert in found})


async def close_all_of(tx: WriteTx, customer_id: str, subject_id: str, reason: str, now: datetime) -> None:
    """Close the open alerts of a job or agent that is deleted, and suppress their notices that still wait."""
    # With the customer, by the index of open alerts: a job may have any number of closed ones.
    own = alerts.c.customer_id == customer_id, alerts.c.subject_id == subject_id, alerts.c.closed_at.is_(None)
    closed = update(alerts).where(*own).values(closed_at=now, closed_reason=reason).returning(alerts.c.id)
    await suppress_waiting(tx, dict.fromkeys((await tx.connection.execute(closed)).scalars(), reason))


MOST_OPEN = 2_000  # shown and grouped at once; of more, the newest
NEWEST_OF_AGENT = 200  # alerts among which that of an event is looked for
_IN_ROW = {
    AlertKind.FAILED: jobs.c.failures_in_row,
    AlertKind.WARNING: jobs.c.warnings_in_row,
    AlertKind.MISSED: jobs.c.missed_in_row,
}
Customers = Collection[str] | None  # the ids of the customers that may be seen; None: all


_CUSTOMERS = Prepared(lambda db: select(customers.c.id, customers.c.name).where(db.one_of(customers.c.id, "ids")))
_AGENTS = Prepared(lambda db: select(agents.c.id, agents.c.name, agents.c.labels).where(db.one_of(agents.c.id, "ids")))
_JOBS = Prepared(
    lambda db: select(jobs.c.id, jobs.c.name, jobs.c.activity, jobs.c.labels, *_IN_ROW.values()).where(
        db.one_of(jobs.c.id, "ids")
    )
)
_NEWEST_OPEN = select(*ALERTS.mapping.columns).where(alerts.c.closed_at.is_(None)).order_by(alerts.c.id.desc())
_EVERY_OPEN = Prepared(lambda _: _NEWEST_OPEN.limit(MOST_OPEN))
_OPEN_OF = Prepared(lambda db: _NEWEST_OPEN.limit(MOST_OPEN).where(db.one_of(alerts.c.customer_id, "seen")))


_STATE = select(
    func.count(),
    func.max(alerts.c.id),
    func.max(alerts.c.last_at),
    func.count(alerts.c.acknowledged_at),
    func.max(alerts.c.acknowledged_at),
).where(alerts.c.closed_at.is_(None))
_STATE_OF_ALL = Prepared(lambda _: _STATE)
_STATE_OF = Prepared(lambda db: _STATE.where(db.one_of(alerts.c.customer_id, "seen")))


async def read_open_alerts(tx: ReadTx, seen: Customers) -> list[NamedAlert]:
    """Return the open alerts of these customers, the newest first, at most MOST_OPEN."""
    rows = await tx.fetch(_EVERY_OPEN) if seen is None else await tx.fetch(_OPEN_OF, seen=sorted(seen))
    return await _named(tx, [ALERTS.mapping.read_values(row) for row in rows])


async def read_closed_alerts(tx: ReadTx, seen: Customers, since: datetime, limit: int) -> list[NamedAlert]:
    """Return the alerts of these customers that were closed since then, those that were closed last first."""
    return await _read_problems(tx, [alerts.c.closed_at >= since, *only(seen)], limit, order=alerts.c.closed_at)


async def read_newest_alerts(tx: ReadTx, limit: int) -> list[NamedAlert]:
    """Return the newest alerts of all customers, open or closed."""
    return await _read_problems(tx, [], limit)


async def read_alerts(tx: ReadTx, ids: Collection[str], seen: Customers) -> list[NamedAlert]:
    """Return those of these alerts, open or closed, that belong to these customers."""
    return await _read_problems(tx, [alerts.c.id.in_(ids), *only(seen)], len(ids))


async def read_alerts_of_job(tx: ReadTx, customer_id: str, job_id: str) -> list[NamedAlert]:
    """Return the open alerts of one job."""
    of_job = alerts.c.customer_id == customer_id, alerts.c.subject_id == job_id, alerts.c.closed_at.is_(None)
    return await _read_problems(tx, list(of_job), MOST_OPEN)


async def alert_about(tx: ReadTx, event: StoredEvent) -> Alert | None:
    """Return the newest alert of the agent that rests on this event, or that was open when it came and is about its job."""
    of_agent = (
        select(alerts).where(alerts.c.agent_id == event.agent_id).order_by(alerts.c.id.desc()).limit(NEWEST_OF_AGENT)
    )
    found = [ALERTS.mapping.read(row) for row in await tx.connection.execute(of_agent)]
    resting = next((alert for alert in found if alert.event_id == event.id), None)
    if resting is not None or event.run_id is None:
        return resting
    job_id = await tx.connection.scalar(select(runs.c.job_id).where(runs.c.id == event.run_id))
    return next(
        (
            alert
            for alert in found
            if alert.job_id == job_id
            and alert.since <= event.occurred_at
            and (alert.closed_at is None or alert.closed_at >= event.received_at)
        ),
        None,
    )


def only(seen: Customers, column: ColumnElement[str] = alerts.c.customer_id) -> list[ColumnElement[bool]]:
    """Return the condition that a row belongs to one of these customers."""
    return [] if seen is None else [column.in_(sorted(seen))]


async def state_of_alerts(tx: ReadTx, seen: Customers) -> tuple[object, ...]:
    """Return numbers of which one differs whenever an alert of these customers opened, closed, repeated, or was acknowledged or released."""
    [row] = await tx.fetch(_STATE_OF_ALL) if seen is None else await tx.fetch(_STATE_OF, seen=sorted(seen))
    return row


async def texts_of_events(tx: ReadTx, event_ids: Collection[str], most: int) -> dict[str, tuple[str, str]]:
    """Return message and log of events by id, at most `most` characters of each."""
    if not event_ids:
        return {}
    columns = events.c.id, func.substr(events.c.message, 1, most), func.substr(events.c.log, 1, most)
    rows = await tx.connection.execute(select(*columns).where(events.c.id.in_(event_ids)))
    return {row[0]: (row[1] or "", row[2] or "") for row in rows}


async def _read_problems(
    tx: ReadTx, where: Collection[ColumnElement[bool]], limit: int, order: ColumnElement[object] = alerts.c.id
) -> list[NamedAlert]:
    chosen = select(*ALERTS.mapping.columns).where(*where).order_by(order.desc()).limit(limit)
    return await _named(tx, [ALERTS.mapping.read_values(row) for row in await tx.connection.execute(chosen)])


async def _named(tx: ReadTx, found: Sequence[Alert]) -> list[NamedAlert]:
    """Return alerts with their names, without those of agents that were deleted.

    The names are read by the ids of what the alerts are about, not joined: a join would let the database begin with the jobs, of which
    there are many more.
    """
    if not found:
        return []
    ids = {name: {getattr(alert, name) for alert in found} for name in ("customer_id", "agent_id", "job_id")}
    of_customer = {row[0]: row for row in await tx.fetch(_CUSTOMERS, ids=sorted(ids["customer_id"]))}
    of_agent = {row[0]: row for row in await tx.fetch(_AGENTS, ids=sorted(ids["agent_id"]))}
    of_job = {row[0]: row for row in await tx.fetch(_JOBS, ids=sorted(ids["job_id"] - {None}))}
    places = {kind: place for place, kind in enumerate(_IN_ROW)}
    no_job: Values = (None, None, "", {}, *(0 for _ in _IN_ROW))
    named = []
    for alert in found:
        if alert.customer_id not in of_customer or alert.agent_id not in of_agent:
            continue
        _, customer = of_customer[alert.customer_id]
        _, agent, agent_labels = of_agent[alert.agent_id]
        _, job, activity, labels, *counts = of_job.get(alert.job_id, no_job)
        in_row = counts[places[alert.kind]] if alert.kind in places else 0
        named.append(NamedAlert(alert, customer, agent, job, activity, {**agent_labels, **labels}, in_row))
    return named


async def is_newest_outside_change(
    tx: WriteTx, recipient_id: str, alert_id: str, event: OutsideChange, now: datetime
) -> bool:
    """Store when a change of an alert's incident happened; return False if a later one was stored before, or this one.

    Changes with one time differ by their kind: these programs may write whole seconds, and each kind counts once.
    The alert must be locked. What is too old to be accepted again is deleted.
    """
    table = outside_changes
    await tx.connection.execute(delete(table).where(table.c.at < now - 2 * OLDEST))
    own = table.c.recipient_id == recipient_id, table.c.alert_id == alert_id
    before = (await tx.connection.execute(select(table.c.at, table.c.kinds).where(*own))).one_or_none()
    kind = event.change.value
    if before is None:
        values = {"recipient_id": recipient_id, "alert_id": alert_id, "at": event.at, "kinds": kind}
        await tx.connection.execute(insert(table).values(values))
        return True
    if event.at < before.at or (event.at == before.at and kind in before.kinds.split()):
        return False
    kinds = f"{before.kinds} {kind}" if event.at == before.at else kind
    await tx.connection.execute(update(table).where(*own).values(at=event.at, kinds=kinds))
    return True
