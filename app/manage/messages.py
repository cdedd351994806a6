"""What people do to a message: have a dead one tried again."""

from dataclasses import replace
from datetime import timedelta

from app.base.errors import NotFound
from app.domain.message import MessageState, check_move
from app.manage.audit import note
from app.manage.editing import Editor
from app.store import outbox
from app.store.unit import Unit


async def retry(unit: Unit, message_id: str, retry_for: timedelta, by: Editor) -> None:
    """Queue a dead message anew, due now. Raises NotFound, IllegalMove if it is not dead."""
    held = (await outbox.lock(unit, [message_id])).get(message_id)
    if held is None:
        raise NotFound(f"there is no message {message_id}")
    check_move(held.message.state, MessageState.QUEUED)
    fresh = replace(
        held.message,
        state=MessageState.QUEUED,
        due_at=by.at,
        give_up_at=by.at + retry_for,
        settled_at=None,
        why=f"tried again at the wish of {by.who}",
        lease_token=None,
        lease_until=None,
        lease_holder=None,
    )
    await outbox.save(unit, [fresh])
    await note(unit, by.who, by.at, "retry", "message", message_id, {"was": held.message.why})
    unit.after_commit(lambda: by.ring("messages"))
