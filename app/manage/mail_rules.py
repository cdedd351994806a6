"""Mail rules: what a mail means, for tools that can only mail."""

from app.base.errors import BadInput
from app.domain.mail_rule import STARS_MOST
from app.domain.record import Record
from app.manage.editing import Editor, Noun, Values
from app.manage.references import check_customer
from app.store.mail_rules import MAIL_RULES
from app.store.unit import Unit


async def _prepare(unit: Unit, values: Values, _before: Record | None, _by: Editor) -> Values:
    await check_customer(unit, values.get("customer_id"))
    if values.get("subject", "").count("*") > STARS_MOST:
        raise BadInput(f"subject: more than {STARS_MOST} stars", code="too_many", field="subject")
    return values


NOUN = Noun("mail rule", MAIL_RULES, _prepare)
