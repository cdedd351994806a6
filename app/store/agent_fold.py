"""Agents as deciding needs them: locked, and marked as heard."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import bindparam, select, update

from app.domain.agent import Agent
from app.store.agents import AGENTS
from app.store.tables import agents
from app.store.transactions import ReadTx, WriteTx


async def lock_agents(tx: WriteTx, ids: Iterable[str]) -> dict[str, Agent]:
    """Give agents by id, locked in the order of their ids so that two workers cannot deadlock."""
    found = await tx.connection.execute(
        select(agents).where(agents.c.id.in_(set(ids))).order_by(agents.c.id).with_for_update()
    )
    return {row.id: AGENTS.mapping.read(row) for row in found}


async def agents_by_id(tx: ReadTx, ids: Iterable[str]) -> dict[str, Agent]:
    """Give agents by id."""
    found = await tx.connection.execute(select(agents).where(agents.c.id.in_(set(ids))))
    return {row.id: AGENTS.mapping.read(row) for row in found}


async def save_heard(tx: WriteTx, heard: Sequence[Agent]) -> None:
    """Keep when agents were heard and when silence would be called."""
    if heard:
        change = (
            update(agents)
            .where(agents.c.id == bindparam("of_id"))
            .values(last_heard_at=bindparam("heard"), silent_at=bindparam("silent"))
        )
        await tx.connection.execute(
            change, [{"of_id": a.id, "heard": a.last_heard_at, "silent": a.silent_at} for a in heard]
        )


async def fallen_silent(tx: WriteTx, before: datetime, limit: int) -> list[Agent]:
    """Claim agents whose silence is to be called."""
    due = select(agents).where(agents.c.silent_at <= before).order_by(agents.c.silent_at).limit(limit)
    return [AGENTS.mapping.read(row) for row in await tx.connection.execute(due.with_for_update(skip_locked=True))]
