"""What administrators do to agents. Agents are also created by the first report that names one, with an enrolment key (intake/enrol.py)."""

from collections.abc import Callable, Collection
from dataclasses import replace

from app.admin import editing, follow_ups
from app.admin.audit import note
from app.admin.editing import Editor
from app.admin.references import check_customer
from app.core.errors import Conflict
from app.domain.agent import Agent, AgentState
from app.domain.follow_up import FollowUpKind
from app.store import alerts
from app.store.agents import AGENTS, count_jobs, revoke_keys_of
from app.store.transactions import WriteTx


async def create_agent(tx: WriteTx, agent: Agent, by: Editor) -> Agent:
    """Add an agent. Raises BadInput if its customer does not exist, Conflict if the name is taken."""
    await check_customer(tx, agent.customer_id)
    return await editing.insert(tx, AGENTS, _with_silent_at(agent, by), by)


async def update_agent(
    tx: WriteTx, agent_id: str, edit: Callable[[Agent], Agent], by: Editor, *, versions: Collection[int] | None = None
) -> Agent:
    """Change an agent. Raises NotFound, StaleEdit."""
    before = await editing.lock_to_change(tx, AGENTS, agent_id, by, versions)
    after = edit(before)
    if after == before:
        return before
    if (after.silent_after, after.labels) != (before.silent_after, before.labels):  # rules may match its labels
        after = _with_silent_at(after, by)
    return await editing.save(tx, AGENTS, before, after, by)


async def delete_agent(tx: WriteTx, agent_id: str, by: Editor, *, versions: Collection[int] | None = None) -> None:
    """Delete an agent, revoke its keys and close its alerts. Raises NotFound, StaleEdit, and Conflict while it has jobs."""
    agent = await editing.lock_to_delete(tx, AGENTS, agent_id, versions)
    jobs = await count_jobs(tx, agent.id)
    if jobs:
        raise Conflict(f"the agent still has {jobs} job(s); delete them first", code="in_use")
    await revoke_keys_of(tx, agent.id, by.at)
    reason = f"closed: the agent was deleted by {by.who}"
    await alerts.close_all_of(tx, str(agent.values["customer_id"]), agent.id, reason, by.at)
    await follow_ups.leave(tx, FollowUpKind.ALERTS_OF_SUBJECT, agent.id, by, reason)
    await editing.delete(tx, AGENTS, agent, by)


async def approve_agent(tx: WriteTx, agent_id: str, by: Editor) -> Agent:
    """Let an agent in that waits, or that was rejected: from now on it counts as every other. Raises NotFound."""
    return await _decide(tx, agent_id, AgentState.APPROVED, "approve", by)


async def reject_agent(tx: WriteTx, agent_id: str, by: Editor) -> Agent:
    """Refuse an agent that waits: enrolment keys refuse its further events, its own keys are revoked, its alerts are closed.

    Raises NotFound, and Conflict for an agent that was approved: nobody would hear of its backups any more.
    """
    agent = await editing.lock(tx, AGENTS, agent_id)
    if agent.state is AgentState.APPROVED:
        raise Conflict("the agent was approved; to end its reports, delete it and revoke its keys", code="approved")
    await revoke_keys_of(tx, agent.id, by.at)
    reason = f"closed: the agent was rejected by {by.who}"
    await follow_ups.leave(tx, FollowUpKind.ALERTS_OF_AGENT, agent.id, by, reason)
    return await _decide(tx, agent_id, AgentState.REJECTED, "reject", by)


async def _decide(tx: WriteTx, agent_id: str, state: AgentState, action: str, by: Editor) -> Agent:
    agent = await editing.lock(tx, AGENTS, agent_id)
    if agent.state is state:
        return agent
    decided = replace(agent, state=state)
    await AGENTS.update(tx, agent, _with_silent_at(decided, by) if state is AgentState.APPROVED else decided)
    await note(tx, by, action, "agent", agent.id, {"name": agent.name, "state": [agent.state, state]})
    return await editing.lock(tx, AGENTS, agent.id)


def _with_silent_at(agent: Agent, by: Editor) -> Agent:
    """Return the agent with the time at which it counts as silent.

    Without a limit of its own that is now, and the clock applies the rules (decide/missed.py): it may have died before this edit.
    Nothing is expected of one that never reported.
    """
    if agent.silent_after is None:
        return replace(agent, silent_at=None if agent.last_heard_at is None else by.at)
    return replace(agent, silent_at=(agent.last_heard_at or by.at) + agent.silent_after)
