"""What administrators do to rules: which trouble opens an alert, and after how much of it."""

from collections.abc import Callable, Collection

from app.admin import editing, follow_ups
from app.admin.editing import Editor
from app.admin.references import check_customer
from app.domain.alert import AlertKind, Rule
from app.domain.follow_up import FollowUpKind
from app.store.routing import RULES
from app.store.transactions import WriteTx


async def create_rule(tx: WriteTx, rule: Rule, by: Editor) -> Rule:
    """Add a rule. Raises BadInput if its customer does not exist, Conflict if the name is taken."""
    await check_customer(tx, rule.customer_id)
    await _ask_about_silent_agents(tx, rule.id, {rule.kind}, by)
    return await editing.insert(tx, RULES, rule, by)


async def update_rule(
    tx: WriteTx, rule_id: str, edit: Callable[[Rule], Rule], by: Editor, *, versions: Collection[int] | None = None
) -> Rule:
    """Change a rule. Raises NotFound, StaleEdit, BadInput, Conflict."""
    before = await editing.lock_to_change(tx, RULES, rule_id, by, versions)
    after = edit(before)
    if after == before:
        return before
    if after.customer_id != before.customer_id:
        await check_customer(tx, after.customer_id)
    await _ask_about_silent_agents(tx, after.id, {before.kind, after.kind}, by)
    return await editing.save(tx, RULES, before, after, by)


async def delete_rule(tx: WriteTx, rule_id: str, by: Editor, *, versions: Collection[int] | None = None) -> None:
    """Delete a rule. Raises NotFound, StaleEdit."""
    rule = await editing.lock_to_delete(tx, RULES, rule_id, versions)
    await _ask_about_silent_agents(tx, rule.id, {str(rule.values["kind"])}, by)
    await editing.delete(tx, RULES, rule, by)


async def _ask_about_silent_agents(tx: WriteTx, rule_id: str, kinds: Collection[str], by: Editor) -> None:
    """Let the clock judge agents by the rules as they are now: one that is dead sends no report after which it would be."""
    if AlertKind.AGENT_SILENT in kinds:
        await follow_ups.leave(tx, FollowUpKind.SILENCE_LIMITS, rule_id, by)
