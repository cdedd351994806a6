"""Mail rules: what a mail means, for tools that can only mail."""

from app.admin.editing import Editor, Noun, Values
from app.admin.references import check_customer
from app.core.errors import BadInput
from app.domain.mail_rule import STARS_MOST
from app.domain.record import Record
from app.store.mail_rules import MAIL_RULES
from app.store.transactions import WriteTx


async def _prepare(tx: WriteTx, values: Values, _before: Record | None, _by: Editor) -> Values:
    await check_customer(tx, values.get("customer_id"))
    if values.get("subject", "").count("*") > STARS_MOST:
        raise BadInput(f"subject: more than {STARS_MOST} stars", code="too_many", field="subject")
    return values


NOUN = Noun("mail rule", MAIL_RULES, _prepare)
