"""Agents: added by hand or by an enrolment key. When one is called silent follows its own setting, else the rules."""

from datetime import timedelta

from app.admin.editing import Editor, Noun, Values
from app.admin.references import check_customer
from app.core.errors import Conflict
from app.domain.record import Record
from app.store import alert_edits
from app.store.agents import AGENTS, count_jobs, revoke_keys_of
from app.store.transactions import WriteTx


async def _prepare(tx: WriteTx, values: Values, before: Record | None, by: Editor) -> Values:
    if before is None:
        await check_customer(tx, values["customer_id"])
    if "silent_after_s" not in values:
        return values
    # Without an own setting the rules decide, at the next event of the agent.
    after_s, heard = values["silent_after_s"], before.fields["last_heard_at"] if before else None
    return {**values, "silent_at": None if after_s is None else (heard or by.at) + timedelta(seconds=after_s)}


async def _detach(tx: WriteTx, agent: Record, by: Editor) -> None:
    jobs = await count_jobs(tx, agent.id)
    if jobs:
        raise Conflict(f"the agent still has {jobs} job(s); delete them first", code="in_use")
    await revoke_keys_of(tx, agent.id, by.at)
    await alert_edits.close_all_of(tx, agent.id, f"closed: the agent was deleted by {by.who}", by.at)


NOUN = Noun("agent", AGENTS, _prepare, _detach)
