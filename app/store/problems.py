"""Reads open alerts with the names of what they are about, for the pages that show what needs a person."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select

from app.domain.alert import Alert, AlertKind
from app.domain.event import StoredEvent
from app.domain.problem import NamedAlert
from app.store.alerts import ALERTS
from app.store.tables import agents, alerts, customers, events, jobs, runs
from app.store.transactions import ReadTx

MOST_OPEN = 2_000  # shown and grouped at once; of more, the newest
NEWEST_OF_AGENT = 200  # alerts among which that of an event is looked for
_IN_ROW = {
    AlertKind.FAILED: jobs.c.failures_in_row,
    AlertKind.WARNING: jobs.c.warnings_in_row,
    AlertKind.MISSED: jobs.c.missed_in_row,
}
Customers = Collection[str] | None  # the ids of the customers that may be seen; None: all


async def read_open_alerts(tx: ReadTx, seen: Customers, *, limit: int = MOST_OPEN) -> list[NamedAlert]:
    """Return the open alerts of these customers, the newest first."""
    return await _read(tx, [alerts.c.closed_at.is_(None), *only(seen)], limit)


async def read_closed_alerts(tx: ReadTx, seen: Customers, since: datetime, limit: int) -> list[NamedAlert]:
    """Return the alerts of these customers that were closed since then, those that were closed last first."""
    return await _read(tx, [alerts.c.closed_at >= since, *only(seen)], limit, order=alerts.c.closed_at)


async def read_newest_alerts(tx: ReadTx, limit: int) -> list[NamedAlert]:
    """Return the newest alerts of all customers, open or closed."""
    return await _read(tx, [], limit)


async def read_alerts(tx: ReadTx, ids: Collection[str], seen: Customers) -> list[NamedAlert]:
    """Return those of these alerts, open or closed, that belong to these customers."""
    return await _read(tx, [alerts.c.id.in_(ids), *only(seen)], len(ids))


async def read_alerts_of_job(tx: ReadTx, customer_id: str, job_id: str) -> list[NamedAlert]:
    """Return the open alerts of one job."""
    of_job = alerts.c.customer_id == customer_id, alerts.c.subject_id == job_id, alerts.c.closed_at.is_(None)
    return await _read(tx, list(of_job), MOST_OPEN)


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
    columns = (
        func.count(),
        func.max(alerts.c.id),
        func.max(alerts.c.last_at),
        func.count(alerts.c.acknowledged_at),
        func.max(alerts.c.acknowledged_at),
    )
    row = (await tx.connection.execute(select(*columns).where(alerts.c.closed_at.is_(None), *only(seen)))).one()
    return tuple(row)


async def texts_of_events(tx: ReadTx, event_ids: Collection[str], most: int) -> dict[str, tuple[str, str]]:
    """Return message and log of events by id, at most `most` characters of each."""
    columns = events.c.id, func.substr(events.c.message, 1, most), func.substr(events.c.log, 1, most)
    rows = await tx.connection.execute(select(*columns).where(events.c.id.in_(event_ids)))
    return {row[0]: (row[1] or "", row[2] or "") for row in rows}


async def _read(
    tx: ReadTx, where: Collection[ColumnElement[bool]], limit: int, order: ColumnElement[object] = alerts.c.id
) -> list[NamedAlert]:
    # The alerts first and alone: a join would let the database begin with the jobs, of which there are many more.
    chosen = select(alerts).where(*where).order_by(order.desc()).limit(limit)
    found = [ALERTS.mapping.read(row) for row in await tx.connection.execute(chosen)]
    names = await _names(tx, found)
    return [names[alert.id] for alert in found if alert.id in names]


async def _names(tx: ReadTx, found: Collection[Alert]) -> dict[str, NamedAlert]:
    by_id = {alert.id: alert for alert in found}
    query: Select[tuple[object, ...]] = (
        select(
            alerts.c.id,
            customers.c.name.label("customer"),
            agents.c.name.label("agent"),
            agents.c.labels.label("agent_labels"),
            jobs.c.name.label("job"),
            jobs.c.activity,
            jobs.c.labels,
            *(column.label(f"row_{kind.value}") for kind, column in _IN_ROW.items()),
        )
        .join(customers, customers.c.id == alerts.c.customer_id)
        .join(agents, agents.c.id == alerts.c.agent_id)
        .outerjoin(jobs, jobs.c.id == alerts.c.job_id)
    )
    made: dict[str, NamedAlert] = {}
    ids = list(by_id)
    for start in range(0, len(ids), 500):
        for row in await tx.connection.execute(query.where(alerts.c.id.in_(ids[start : start + 500]))):
            alert = by_id[row.id]
            made[row.id] = NamedAlert(
                alert=alert,
                customer=row.customer,
                agent=row.agent,
                job=row.job,
                activity=row.activity or "",
                labels={**row.agent_labels, **(row.labels or {})},
                in_row=getattr(row, f"row_{alert.kind.value}", None) or 0,
            )
    return made
