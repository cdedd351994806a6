"""What administrators do to events: let those that were set aside be decided on again, once the defect is repaired."""

from app.admin.audit import note
from app.admin.editing import Editor
from app.core.errors import IllegalMove, NotFound
from app.domain.event import EventState
from app.store.events import lock_event, put_event_back, put_events_back
from app.store.transactions import Database, WriteTx

RETRIES_MOST = 10_000  # events in one call
_AT_ONCE = 500  # in one transaction


async def retry_event(tx: WriteTx, event_id: str, by: Editor) -> None:
    """Queue one event to be decided on again. Raises NotFound, and IllegalMove if it is not set aside."""
    held = await lock_event(tx, event_id)
    if held is None:
        raise NotFound(f"there is no event {event_id}")
    state, error = held
    if state != EventState.SET_ASIDE:
        raise IllegalMove(f"only an event that is set aside can be decided on again, and this one is {state}")
    await put_event_back(tx, event_id)
    await note(tx, by, "retry", "event", event_id, {"was": error})
    tx.after_commit(lambda: by.wake("events"))


async def retry_set_aside_events(database: Database, by: Editor) -> int:
    """Queue the oldest `RETRIES_MOST` events that are set aside to be decided on again; return how many there were.

    Each batch is a transaction with an audit entry of its own, so that nobody who writes waits long.
    """
    retried, after = 0, ""  # only forwards: one that is set aside again meanwhile is not tried for ever
    while retried < RETRIES_MOST:
        async with database.write() as tx:
            ids = await put_events_back(tx, min(_AT_ONCE, RETRIES_MOST - retried), after=after)
            if ids:
                await note(tx, by, "retry", "event", "set_aside", {"retried": len(ids)})
                tx.after_commit(lambda: by.wake("events"))
        retried += len(ids)
        if len(ids) < _AT_ONCE:
            break
        after = ids[-1]
    return retried
