"""Events that wait to be folded: claimed, marked, set aside; and the events that our own clock writes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, bindparam, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from app.domain.event import Event
from app.store.mapping import event_from
from app.store.tables import events
from app.store.transactions import ReadTx, WriteTx

# As the partial indices say it: SQLite uses one only when its condition stands word by word in the query.
_NEW = text("events.state = 'new'")


async def claim_new(tx: WriteTx, limit: int, only: str | None = None) -> list[Event]:
    """Claim up to `limit` unfolded events, oldest first, until the transaction ends; `only` names a single one."""
    wanted = _NEW
    due = (
        select(*(column for column in events.c if column.name != "log"))
        .where(wanted if only is None else and_(wanted, events.c.id == only))
        .order_by(events.c.id)
        .limit(limit)
    )
    rows: Sequence[Row[Any]] = (await tx.connection.execute(due.with_for_update(skip_locked=True))).all()
    return [event_from(row) for row in rows]


async def waiting_ids(tx: ReadTx, limit: int) -> list[str]:
    """Give the ids of unfolded events, oldest first."""
    found = await tx.connection.execute(select(events.c.id).where(_NEW).order_by(events.c.id).limit(limit))
    return list(found.scalars())


async def oldest_waiting(tx: ReadTx) -> datetime | None:
    """Say when the oldest unfolded event was received: what is missing after that moment may only be unread."""
    moment: datetime | None = await tx.connection.scalar(
        select(events.c.received_at).where(_NEW).order_by(events.c.id).limit(1)
    )
    return moment


async def mark_folded(tx: WriteTx, event_ids: Sequence[str], run_of: dict[str, str]) -> None:
    """Mark events as folded and note the run that each belongs to (`run_of`: event id to run id)."""
    plain = [event_id for event_id in event_ids if event_id not in run_of]
    if plain:
        await tx.connection.execute(update(events).where(events.c.id.in_(plain)).values(state="folded"))
    if run_of:
        mark = (
            update(events)
            .where(events.c.id == bindparam("of_event"))
            .values(state="folded", run_id=bindparam("of_run"))
        )
        await tx.connection.execute(
            mark, [{"of_event": event_id, "of_run": run_id} for event_id, run_id in run_of.items()]
        )


async def set_aside(tx: WriteTx, event_id: str, error: str) -> None:
    """Take one event that cannot be folded out of the line, with its error, where admins see it."""
    await tx.connection.execute(
        update(events).where(_NEW, events.c.id == event_id).values(state="set_aside", error=error[:2000])
    )


async def insert_clock_events(tx: WriteTx, made: Sequence[Event]) -> None:
    """Store events of our own clock. The key keeps two workers from writing the same one twice."""
    if not made:
        return
    insert = sqlite.insert if tx.is_sqlite else postgresql.insert
    rows = [
        {
            "id": event.id,
            "customer_id": event.customer_id,
            "agent_id": event.agent_id,
            "key": event.key,
            "kind": event.kind,
            "job": event.job,
            "run": event.run,
            "activity": event.activity,
            "phase": event.phase,
            "outcome": event.outcome,
            "severity": event.severity,
            "occurred_at": event.occurred_at,
            "received_at": event.received_at,
            "message": event.message,
            "metrics": dict(event.metrics) or None,
            "extra": dict(event.extra) or None,
        }
        for event in made
    ]
    await tx.connection.execute(insert(events).on_conflict_do_nothing(), rows)
