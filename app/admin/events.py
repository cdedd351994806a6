"""What people do to events: have those that were set aside decided on again, once the defect is mended."""

from app.admin.audit import note
from app.admin.editing import Editor
from app.core.errors import IllegalMove, NotFound
from app.store import inbox
from app.store.transactions import WriteTx

AT_ONCE = 10_000  # one transaction must not hold back intake for long


async def retry(tx: WriteTx, event_id: str, by: Editor) -> None:
    """Put one event back into the line. Raises NotFound, IllegalMove if it is not set aside."""
    held = await inbox.lock_event(tx, event_id)
    if held is None:
        raise NotFound(f"there is no event {event_id}")
    state, error = held
    if state != "set_aside":
        raise IllegalMove(f"an event can be decided on again only when it is set aside, and this one is {state}")
    await inbox.put_back(tx, event_id)
    await note(tx, by.who, by.at, "retry", "event", event_id, {"was": error})
    tx.after_commit(lambda: by.wake("events"))


async def retry_set_aside(tx: WriteTx, by: Editor) -> int:
    """Put the oldest `AT_ONCE` events that are set aside back into the line, and say how many there were."""
    retried = await inbox.put_all_back(tx, AT_ONCE)
    if retried:
        await note(tx, by.who, by.at, "retry", "event", "set_aside", {"retried": retried})
        tx.after_commit(lambda: by.wake("events"))
    return retried
