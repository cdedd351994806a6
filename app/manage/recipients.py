"""Recipients: who is told, by which transports in which order. One that a route or summary leads to cannot be deleted."""

from app.base.errors import Conflict
from app.domain.record import Record
from app.manage.editing import Editor, Noun, Values
from app.manage.references import check_customer
from app.store.json_forms import addresses_of
from app.store.readdress import move_on_from_others
from app.store.recipients import RECIPIENTS, suppress_notices_to, used_by
from app.store.unit import Unit


async def _prepare(unit: Unit, values: Values, before: Record | None, by: Editor) -> Values:
    await check_customer(unit, values.get("customer_id"))
    if before is not None and "transports" in values:
        await move_on_from_others(unit, before.id, addresses_of(values["transports"]), by.at)
    if before is None or "transports" in values:
        return {**values, "follows_settings": False}  # the administrator's word replaces TOCSIN_ADMIN_EMAIL
    return values


async def _detach(unit: Unit, recipient: Record, by: Editor) -> None:
    users = await used_by(unit, recipient.id)
    if users:
        raise Conflict(f"still used by {', '.join(users)}", code="in_use")
    await suppress_notices_to(unit, recipient.id, f"the recipient was deleted by {by.who}")


NOUN = Noun("recipient", RECIPIENTS, _prepare, _detach)
