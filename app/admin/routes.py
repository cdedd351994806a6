"""Routes: matchers to recipients. Without one that matches, an alert reaches nobody."""

from app.admin.editing import Editor, Noun, Values
from app.admin.references import check_customer, check_recipients
from app.domain.record import Record
from app.store.json_forms import seconds_or_none
from app.store.notices import set_repeats
from app.store.routes import ROUTES, forget_groups_of
from app.store.transactions import WriteTx


async def _prepare(tx: WriteTx, values: Values, before: Record | None, _by: Editor) -> Values:
    await check_customer(tx, values.get("customer_id"))
    await check_recipients(tx, values.get("recipients", ()))
    if before is not None and values.keys() & {"repeat_every_s", "enabled"}:
        whole = {**before.fields, **values}
        # Also what was told already: who sets a reminder means the alerts that are open now.
        await set_repeats(tx, before.id, seconds_or_none(whole["repeat_every_s"]) if whole["enabled"] else None)
    return values


async def _detach(tx: WriteTx, route: Record, _by: Editor) -> None:
    await forget_groups_of(tx, route.id)


NOUN = Noun("route", ROUTES, _prepare, _detach)
