"""Events that wait to be folded: claimed, marked, set aside and put back; and the events that our own clock writes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, bindparam, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from app.domain.event import Event
from app.store.mapping import event_from
from app.store.tables import events
from app.store.transactions import ReadTx, WriteTx

# Written exactly as in the partial indices: SQLite uses one only when its condition stands word for word in the query.
_NEW = text("events.state = 'new'")
_SET_ASIDE = text("events.state = 'set_aside'")


async def claim_new(tx: WriteTx, limit: int, only: str | None = None) -> list[Event]:
    """Claim up to `limit` unfolded events, oldest first, until the transaction ends; `only` names a single one."""
    due = (
        select(*(column for column in events.c if column.name != "log"))
        .where(_NEW if only is None else and_(_NEW, events.c.id == only))
        .order_by(events.c.id)
        .limit(limit)
    )
    rows: Sequence[Row[Any]] = (await tx.connection.execute(due.with_for_update(skip_locked=True))).all()
    return [event_from(row) for row in rows]


async def waiting_ids(tx: ReadTx, limit: int) -> list[str]:
    """Return the ids of unfolded events, oldest first."""
    found = await tx.connection.execute(select(events.c.id).where(_NEW).order_by(events.c.id).limit(limit))
    return list(found.scalars())


async def oldest_waiting(tx: ReadTx) -> datetime | None:
    """Return when the oldest unfolded event was received: a run that seems to be missing after that moment may only be unread."""
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
    """Set one event that cannot be folded aside, with its error, where administrators see it."""
    await tx.connection.execute(
        update(events).where(_NEW, events.c.id == event_id).values(state="set_aside", error=error[:2000])
    )


async def lock_event(tx: WriteTx, event_id: str) -> tuple[str, str | None] | None:
    """Return an event's state and error, locked until the commit."""
    query = select(events.c.state, events.c.error).where(events.c.id == event_id).with_for_update()
    row = (await tx.connection.execute(query)).one_or_none()
    return None if row is None else (row.state, row.error)


async def put_back(tx: WriteTx, event_id: str) -> None:
    """Have one event decided on again."""
    await tx.connection.execute(update(events).where(events.c.id == event_id).values(state="new", error=None))


async def put_all_back(tx: WriteTx, limit: int) -> int:
    """Have up to `limit` events that were set aside decided on again, oldest first; return how many."""
    oldest = select(events.c.id).where(_SET_ASIDE).order_by(events.c.received_at).limit(limit)
    ids = list((await tx.connection.execute(oldest.with_for_update(skip_locked=True))).scalars())
    for start in range(0, len(ids), 1000):  # a statement has a limited number of parameters
        some = events.c.id.in_(ids[start : start + 1000])
        await tx.connection.execute(update(events).where(some).values(state="new", error=None))
    return len(ids)


async def insert_clock_events(tx: WriteTx, made: Sequence[Event]) -> None:
    """Store events of our own clock. Their keys prevent two workers from storing the same event twice."""
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
