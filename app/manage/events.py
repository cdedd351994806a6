"""What people do to events: have those that were set aside decided on again, once the defect is mended."""

from app.base.errors import IllegalMove, NotFound
from app.manage.audit import note
from app.manage.editing import Editor
from app.store import set_aside
from app.store.unit import Unit

AT_ONCE = 10_000  # one transaction must not hold back intake for long


async def retry(unit: Unit, event_id: str, by: Editor) -> None:
    """Put one event back into the line. Raises NotFound, IllegalMove if it is not set aside."""
    held = await set_aside.lock_event(unit, event_id)
    if held is None:
        raise NotFound(f"there is no event {event_id}")
    state, error = held
    if state != "set_aside":
        raise IllegalMove(f"an event can be decided on again only when it is set aside, and this one is {state}")
    await set_aside.put_back(unit, event_id)
    await note(unit, by.who, by.at, "retry", "event", event_id, {"was": error})
    unit.after_commit(lambda: by.ring("events"))


async def retry_set_aside(unit: Unit, by: Editor) -> int:
    """Put the oldest `AT_ONCE` events that are set aside back into the line, and say how many there were."""
    retried = await set_aside.put_all_back(unit, AT_ONCE)
    if retried:
        await note(unit, by.who, by.at, "retry", "event", "set_aside", {"retried": retried})
        unit.after_commit(lambda: by.ring("events"))
    return retried
