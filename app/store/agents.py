"""Agents in the database, as administrators see and edit them."""

from datetime import datetime

from sqlalchemy import func, select, update

from app.domain.agent import Agent
from app.store.repository import Page, Repository, Window, equals
from app.store.tables import agents, jobs
from app.store.tables_managed import keys
from app.store.transactions import ReadTx, WriteTx

AGENTS = Repository(
    agents, Agent, noun="agent", prefix="agt", edited=("customer_id", "name", "labels", "silent_after_s")
)


async def page_agents(
    tx: ReadTx, window: Window, *, customer_id: str | None = None, name: str | None = None
) -> Page[Agent]:
    """Return agents in the order of their ids, filtered by customer and name."""
    return await AGENTS.page(tx, equals(agents, customer_id=customer_id, name=name), window)


async def count_jobs(tx: ReadTx, agent_id: str) -> int:
    """Return how many jobs the agent has."""
    found = await tx.connection.scalar(select(func.count()).select_from(jobs).where(jobs.c.agent_id == agent_id))
    return int(found or 0)


async def revoke_keys_of(tx: WriteTx, agent_id: str, now: datetime) -> None:
    """Revoke the keys of an agent that is about to be deleted; they stay listed, without it."""
    own = keys.c.agent_id == agent_id
    await tx.connection.execute(update(keys).where(own, keys.c.revoked_at.is_(None)).values(revoked_at=now))
    await tx.connection.execute(update(keys).where(own).values(agent_id=None))
