"""Rules: which trouble opens an alert, and after how much of it."""

from app.domain.record import Record
from app.manage.editing import Editor, Noun, Values
from app.manage.references import check_customer
from app.store.rules import RULES
from app.store.unit import Unit


async def _prepare(unit: Unit, values: Values, _before: Record | None, _by: Editor) -> Values:
    await check_customer(unit, values.get("customer_id"))
    return values


NOUN = Noun("rule", RULES, _prepare)
