"""What administrators do to silences: one-off mutes that end by themselves.

A deletion ends a silence now and keeps it, so that what it muted stays explained.
"""

from collections.abc import Callable, Collection
from datetime import timedelta

from app.admin import editing, follow_ups
from app.admin.audit import note
from app.admin.editing import Editor
from app.admin.references import check_customer
from app.core.errors import BadInput, Conflict
from app.domain.follow_up import FollowUpKind
from app.domain.route import Silence
from app.store.routing import SILENCES, end_silence
from app.store.transactions import WriteTx

LONGEST = timedelta(days=366)  # a longer silence would be forgotten, and then a failure goes unheard


async def create_silence(tx: WriteTx, silence: Silence, by: Editor) -> Silence:
    """Add a silence. Raises BadInput if its customer does not exist or its span is not allowed."""
    await check_customer(tx, silence.customer_id)
    _check_span(silence, by)
    _check_until_fixed(silence)
    await follow_ups.leave(tx, FollowUpKind.MUTED, silence.id, by)
    return await editing.insert(tx, SILENCES, silence, by)


async def update_silence(
    tx: WriteTx,
    silence_id: str,
    edit: Callable[[Silence], Silence],
    by: Editor,
    *,
    versions: Collection[int] | None = None,
) -> Silence:
    """Change a silence. Raises NotFound, StaleEdit, BadInput, and Conflict if it has ended."""
    before = await editing.lock_to_change(tx, SILENCES, silence_id, by, versions)
    after = edit(before)
    if after == before:
        return before
    if before.ends_at <= by.at:
        raise Conflict("the silence has ended; create a new one", code="ended")
    if after.customer_id != before.customer_id:
        await check_customer(tx, after.customer_id)
    _check_span(after, by)
    _check_until_fixed(after)
    await follow_ups.leave(tx, FollowUpKind.MUTED, before.id, by)
    return await editing.save(tx, SILENCES, before, after, by)


async def delete_silence(tx: WriteTx, silence_id: str, by: Editor, *, versions: Collection[int] | None = None) -> None:
    """End a silence now; it stays listed. Does nothing to one that has ended. Raises NotFound, StaleEdit."""
    row = await editing.lock_to_delete(tx, SILENCES, silence_id, versions)
    if await end_silence(tx, row.id, by.at):
        await follow_ups.leave(tx, FollowUpKind.MUTED, row.id, by)
    await note(tx, by, "delete", SILENCES.noun, row.id, row.values)


def _check_until_fixed(silence: Silence) -> None:
    """Raise BadInput where a silence cannot end with what it mutes: a wide one would end when the first of many is fixed."""
    if silence.until_fixed and not silence.is_about_one:
        raise BadInput(
            "needs a customer, and matchers that name one agent or one job of it by `is`",
            code="not_one_subject",
            field="until_fixed",
        )


def _check_span(silence: Silence, by: Editor) -> None:
    if silence.ends_at <= by.at:
        raise BadInput("must be in the future", code="bad_span", field="ends_at")
    if silence.ends_at <= silence.starts_at:
        raise BadInput("must be after starts_at", code="bad_span", field="ends_at")
    if silence.ends_at - silence.starts_at > LONGEST:
        raise BadInput("a silence lasts one year at most", code="bad_span", field="ends_at")
