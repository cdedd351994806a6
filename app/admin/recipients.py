"""Recipients: who is told, by which transports in which order. One that a route or summary leads to cannot be deleted."""

from app.admin.editing import Editor, Noun, Values
from app.admin.references import check_customer
from app.core.errors import Conflict
from app.domain.record import Record
from app.store.json_forms import addresses_of
from app.store.outbox import move_on_from_others
from app.store.recipients import RECIPIENTS, suppress_notices_to, used_by
from app.store.transactions import WriteTx


async def _prepare(tx: WriteTx, values: Values, before: Record | None, by: Editor) -> Values:
    await check_customer(tx, values.get("customer_id"))
    if before is not None and "transports" in values:
        await move_on_from_others(tx, before.id, addresses_of(values["transports"]), by.at)
    if before is None or "transports" in values:
        return {**values, "follows_settings": False}  # the administrator's word replaces TOCSIN_ADMIN_EMAIL
    return values


async def _detach(tx: WriteTx, recipient: Record, by: Editor) -> None:
    users = await used_by(tx, recipient.id)
    if users:
        raise Conflict(f"still used by {', '.join(users)}", code="in_use")
    await suppress_notices_to(tx, recipient.id, f"the recipient was deleted by {by.who}")


NOUN = Noun("recipient", RECIPIENTS, _prepare, _detach)
