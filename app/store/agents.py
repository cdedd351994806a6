"""Agents as stored, for showing and editing. What deciding needs of them lies in agent_fold.py."""

from datetime import datetime

from sqlalchemy import func, select, update

from app.store.records import Records
from app.store.tables import agents, jobs
from app.store.tables_managed import keys
from app.store.transactions import ReadTx, WriteTx

AGENTS = Records(agents, "agt")


async def count_jobs(tx: ReadTx, agent_id: str) -> int:
    """Count the agent's jobs."""
    found = await tx.connection.scalar(select(func.count()).select_from(jobs).where(jobs.c.agent_id == agent_id))
    return int(found or 0)


async def revoke_keys_of(tx: WriteTx, agent_id: str, now: datetime) -> None:
    """End the keys of an agent that is deleted; they stay listed, without it."""
    own = keys.c.agent_id == agent_id
    await tx.connection.execute(update(keys).where(own, keys.c.revoked_at.is_(None)).values(revoked_at=now))
    await tx.connection.execute(update(keys).where(own).values(agent_id=None))
