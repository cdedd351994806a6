"""Finishes edits that concern many rows: an edit stores a follow-up in its transaction, and the worker does it in pieces.

Each piece is committed with the place that it reached. Whatever crashes, the next worker goes on there, and two workers do no piece twice.
"""

from app.admin.editing import Editor
from app.context import AppContext
from app.core.errors import Unavailable
from app.core.ids import new_id
from app.core.log import log
from app.core.periodic import Idle
from app.domain.follow_up import FollowUp, FollowUpKind
from app.store.edits import (
    advance_follow_up,
    change_rows,
    delete_follow_up,
    find_rows,
    insert_follow_up,
    oldest_follow_ups,
)
from app.store.transactions import WriteTx

AT_ONCE = 20  # follow-ups of one tick
FOUND, TOGETHER = 2_000, 100  # rows of one follow-up in a tick, and in one transaction


async def leave(tx: WriteTx, kind: FollowUpKind, subject_id: str, by: Editor, reason: str = "") -> None:
    """Store what this edit leaves to do, and wake the worker once it is committed."""
    await insert_follow_up(tx, FollowUp(new_id("fup"), kind, subject_id, by.at, reason))
    tx.after_commit(lambda: by.wake("edits"))


async def tick(context: AppContext) -> bool | Idle:
    """Go on with the oldest follow-ups; True if there is more to do at once, how long to wait for a wakeup if there is none."""
    async with context.database.read() as tx:
        waiting = await oldest_follow_ups(tx, AT_ONCE)
    if not waiting:
        return Idle(context.wakeups.idle)
    more = False
    for follow_up in waiting:
        try:
            more |= await _go_on(context, follow_up)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001  (one that cannot be done, such as for a route of another version, must not stop all others)
            log.exception(
                "an edit could not be finished; it is tried again", kind=follow_up.kind, id=follow_up.subject_id
            )
    return more


async def _go_on(context: AppContext, follow_up: FollowUp) -> bool:
    """Change the next rows, a piece in one transaction; return whether there are more."""
    async with context.database.read() as tx:
        found = await find_rows(tx, follow_up, FOUND)
    for start in range(0, len(found), TOGETHER):
        piece = found[start : start + TOGETHER]
        async with context.database.write() as tx:
            advanced = await advance_follow_up(tx, follow_up, piece[-1])
            if advanced is None:
                return False  # another worker does it
            await change_rows(tx, advanced, piece)
            if follow_up.kind is FollowUpKind.MUTED:
                tx.after_commit(lambda: context.wakeups.wake("events"))
        follow_up = advanced
    if len(found) < FOUND:
        async with context.database.write() as tx:
            await delete_follow_up(tx, follow_up)
    return len(found) == FOUND
