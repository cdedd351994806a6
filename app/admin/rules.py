"""Rules: which trouble opens an alert, and after how much of it."""

from app.admin.editing import Editor, Noun, Values
from app.admin.references import check_customer
from app.domain.record import Record
from app.store.rules import RULES
from app.store.transactions import WriteTx


async def _prepare(tx: WriteTx, values: Values, _before: Record | None, _by: Editor) -> Values:
    await check_customer(tx, values.get("customer_id"))
    return values


NOUN = Noun("rule", RULES, _prepare)
