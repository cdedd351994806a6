"""What administrators do to agents. Agents are also created by the first report that names one, with an enrolment key."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

from app.admin import editing
from app.admin.editing import Editor
from app.admin.references import check_customer
from app.core.errors import Conflict
from app.domain.agent import Agent
from app.store import alerts
from app.store.agents import AGENTS, count_jobs, revoke_keys_of
from app.store.intake import find_or_create_agents
from app.store.transactions import WriteTx


async def create_agent(tx: WriteTx, agent: Agent, by: Editor) -> Agent:
    """Add an agent. Raises BadInput if its customer does not exist, Conflict if the name is taken."""
    await check_customer(tx, agent.customer_id)
    return await editing.insert(tx, AGENTS, _with_silent_at(agent, by), by)


async def update_agent(
    tx: WriteTx, agent_id: str, edit: Callable[[Agent], Agent], by: Editor, *, versions: Collection[int] | None = None
) -> Agent:
    """Change an agent. Raises NotFound, StaleEdit."""
    before = await editing.lock(tx, AGENTS, agent_id, versions)
    after = edit(before)
    if after == before:
        return before
    if after.silent_after != before.silent_after:
        after = _with_silent_at(after, by)
    return await editing.save(tx, AGENTS, before, after, by)


async def delete_agent(tx: WriteTx, agent_id: str, by: Editor, *, versions: Collection[int] | None = None) -> None:
    """Delete an agent, revoke its keys and close its alerts. Raises NotFound, StaleEdit, and Conflict while it has jobs."""
    agent = await editing.lock_to_delete(tx, AGENTS, agent_id, versions)
    jobs = await count_jobs(tx, agent.id)
    if jobs:
        raise Conflict(f"the agent still has {jobs} job(s); delete them first", code="in_use")
    await revoke_keys_of(tx, agent.id, by.at)
    await alerts.close_all_of(tx, agent.id, f"closed: the agent was deleted by {by.who}", by.at)
    await editing.delete(tx, AGENTS, agent, by)


async def enrol_agent(tx: WriteTx, customer_id: str, name: str, at: datetime) -> str:
    """Return the id of a customer's agent by its name; an agent that is not known yet is created."""
    agent = (customer_id, name)
    return (await find_or_create_agents(tx, {agent}, at))[agent]


def _with_silent_at(agent: Agent, by: Editor) -> Agent:
    """Return the agent with the time at which it counts as silent. Without a limit of its own the rules set it at its next event."""
    if agent.silent_after is None:
        return replace(agent, silent_at=None)
    return replace(agent, silent_at=(agent.last_heard_at or by.at) + agent.silent_after)
