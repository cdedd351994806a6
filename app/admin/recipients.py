"""What administrators do to recipients. A recipient that a route or summary schedule leads to cannot be deleted."""

from collections.abc import Callable, Collection
from dataclasses import replace

from app.admin import editing, follow_ups
from app.admin.editing import Editor
from app.admin.references import check_customer
from app.core.errors import Conflict
from app.domain.follow_up import FollowUpKind
from app.domain.recipient import Recipient
from app.domain.transport_options import TransportOptions
from app.store.routing import RECIPIENTS, uses_of_recipient
from app.store.transactions import WriteTx


async def create_recipient(tx: WriteTx, recipient: Recipient, by: Editor) -> Recipient:
    """Add a recipient. Raises BadInput if its customer does not exist, Conflict if the name is taken."""
    await check_customer(tx, recipient.customer_id)
    return await editing.insert(tx, RECIPIENTS, recipient, by)


async def update_recipient(
    tx: WriteTx,
    recipient_id: str,
    edit: Callable[[Recipient], Recipient],
    by: Editor,
    *,
    versions: Collection[int] | None = None,
) -> Recipient:
    """Change a recipient. Alerts that wait for an address which is gone move on. Raises NotFound, StaleEdit, BadInput, Conflict."""
    before = await editing.lock_to_change(tx, RECIPIENTS, recipient_id, by, versions)
    after = edit(before)
    if after == before and _options(after) == _options(before):
        return before
    if after.customer_id != before.customer_id:
        await check_customer(tx, after.customer_id)
    if after.transports != before.transports:
        await follow_ups.leave(tx, FollowUpKind.ADDRESSES, before.id, by)
        # From now on the administrator decides, not TOCSIN_ADMIN_EMAIL.
        after = replace(after, follows_settings=False)
    return await editing.save(tx, RECIPIENTS, before, after, by)


def _options(recipient: Recipient) -> list[TransportOptions | None]:
    return [one.options for one in recipient.transports]


async def delete_recipient(
    tx: WriteTx, recipient_id: str, by: Editor, *, versions: Collection[int] | None = None
) -> None:
    """Delete a recipient and withdraw its notices. Raises NotFound, StaleEdit, and Conflict while it is used."""
    recipient = await editing.lock_to_delete(tx, RECIPIENTS, recipient_id, versions)
    users = await uses_of_recipient(tx, recipient.id)
    if users:
        raise Conflict(f"still used by {', '.join(users)}", code="in_use")
    await follow_ups.leave(tx, FollowUpKind.NOTICES, recipient.id, by, f"the recipient was deleted by {by.who}")
    await editing.delete(tx, RECIPIENTS, recipient, by)
