"""What administrators do to mail rules: what a text of a tool means."""

from collections.abc import Callable, Collection

from app.admin import editing
from app.admin.editing import Editor
from app.admin.references import check_customer
from app.core.errors import BadInput
from app.domain.mail_rule import STARS_MOST, MailRule
from app.store.mail_rules import MAIL_RULES
from app.store.transactions import WriteTx


async def create_mail_rule(tx: WriteTx, rule: MailRule, by: Editor) -> MailRule:
    """Add a mail rule. Raises BadInput if its customer does not exist or one of its globs has too many stars, Conflict if the name is taken."""
    await check_customer(tx, rule.customer_id)
    check_globs(rule)
    return await editing.insert(tx, MAIL_RULES, rule, by)


async def update_mail_rule(
    tx: WriteTx,
    rule_id: str,
    edit: Callable[[MailRule], MailRule],
    by: Editor,
    *,
    versions: Collection[int] | None = None,
) -> MailRule:
    """Change a mail rule. Raises NotFound, StaleEdit, BadInput, Conflict."""
    before = await editing.lock_to_change(tx, MAIL_RULES, rule_id, by, versions)
    after = edit(before)
    if after == before:
        return before
    if after.customer_id != before.customer_id:
        await check_customer(tx, after.customer_id)
    check_globs(after)
    return await editing.save(tx, MAIL_RULES, before, after, by)


async def delete_mail_rule(tx: WriteTx, rule_id: str, by: Editor, *, versions: Collection[int] | None = None) -> None:
    """Delete a mail rule. Raises NotFound, StaleEdit."""
    rule = await editing.lock_to_delete(tx, MAIL_RULES, rule_id, versions)
    await editing.delete(tx, MAIL_RULES, rule, by)


def check_globs(rule: MailRule) -> None:
    """Raise BadInput if a glob has too many stars."""
    for field, glob in (("subject", rule.subject), ("sender", rule.sender), ("body", rule.body)):
        if (glob or "").count("*") > STARS_MOST:
            raise BadInput(f"{field}: more than {STARS_MOST} stars", code="too_many", field=field)
