"""Routes: matchers to recipients. Without one that matches, an alert reaches nobody."""

from app.domain.record import Record
from app.manage.editing import Editor, Noun, Values
from app.manage.references import check_customer, check_recipients
from app.store.routes import ROUTES, forget_groups_of
from app.store.unit import Unit


async def _prepare(unit: Unit, values: Values, _before: Record | None, _by: Editor) -> Values:
    await check_customer(unit, values.get("customer_id"))
    await check_recipients(unit, values.get("recipients", ()))
    return values


async def _detach(unit: Unit, route: Record, _by: Editor) -> None:
    await forget_groups_of(unit, route.id)


NOUN = Noun("route", ROUTES, _prepare, _detach)
