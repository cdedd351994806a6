"""Puts events that were set aside back into the line, at an administrator's wish. Setting them aside is in inbox.py."""

from sqlalchemy import select, text, update

from app.store.tables import events
from app.store.transactions import WriteTx

_SET_ASIDE = text("events.state = 'set_aside'")  # as the partial index says it, word by word


async def lock_event(tx: WriteTx, event_id: str) -> tuple[str, str | None] | None:
    """Give an event's state and error, locked until the commit."""
    query = select(events.c.state, events.c.error).where(events.c.id == event_id).with_for_update()
    row = (await tx.connection.execute(query)).one_or_none()
    return None if row is None else (row.state, row.error)


async def put_back(tx: WriteTx, event_id: str) -> None:
    """Let one event be decided on anew."""
    await tx.connection.execute(update(events).where(events.c.id == event_id).values(state="new", error=None))


async def put_all_back(tx: WriteTx, limit: int) -> int:
    """Let up to `limit` events that were set aside be decided on anew, oldest first, and say how many."""
    wanted = select(events.c.id).where(_SET_ASIDE).order_by(events.c.received_at).limit(limit)
    ids = list((await tx.connection.execute(wanted.with_for_update(skip_locked=True))).scalars())
    for start in range(0, len(ids), 1000):  # a statement takes only so many values
        some = events.c.id.in_(ids[start : start + 1000])
        await tx.connection.execute(update(events).where(some).values(state="new", error=None))
    return len(ids)
