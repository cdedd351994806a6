"""Agents in the database: as administrators see and edit them, and as deciding locks and saves them."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Boolean, Integer, Select, bindparam, func, literal_column, select, update

from app.domain.agent import Agent, AgentState
from app.store.prepared import Builder, Prepared, Values
from app.store.repository import Page, Repository, Window, equals
from app.store.row_mapping import readable
from app.store.tables import agents, jobs
from app.store.tables_managed import keys
from app.store.transactions import ReadTx, WriteTx
from app.store.types import Utc
from app.store.unreadable import put_off, split_readable
from app.store.waiting import all_decided_until

AGENTS = Repository(
    agents, Agent, noun="agent", prefix="agt", edited=("customer_id", "name", "labels", "silent_after_s")
)

# Written as the condition of an index, because SQLite uses a partial index only then.
_UNDECIDED = literal_column("agents.state <> 'approved'", Boolean)
_IS_KNOWN = all_decided_until(agents.c.customer_id, agents.c.id, agents.c.silent_at)


def _build_lock(db: Builder, *, waits: bool) -> Select[Values]:
    found = select(*AGENTS.mapping.columns).where(db.one_of(agents.c.id, "agent_ids")).order_by(agents.c.id)
    return found.with_for_update(skip_locked=not waits)


LOCK_AGENTS, _LOCK_FREE = Prepared(partial(_build_lock, waits=True)), Prepared(partial(_build_lock, waits=False))
_HEARD = ("last_heard_at", "last_proven_at", "silent_at", "silent_since", "clock_offset_s", "clock_off_at")
_SAVE_HEARD = Prepared(lambda db: db.update_each(agents, "id", _HEARD))


async def page_agents(
    tx: ReadTx,
    window: Window,
    *,
    customer_id: str | None = None,
    name: str | None = None,
    state: AgentState | None = None,
) -> Page[Agent]:
    """Return agents in the order of their ids, filtered by customer, name and state."""
    conditions = equals(agents, customer_id=customer_id, name=name, state=state)
    if state not in (None, AgentState.APPROVED):
        conditions.append(_UNDECIDED)
    return await AGENTS.page(tx, conditions, window)


async def count_enrolled(tx: ReadTx, key_id: str) -> int:
    """Return how many agents an enrolment key let in that still exist and were not rejected."""
    let_in = select(func.count()).select_from(agents)
    let_in = let_in.where(agents.c.enrolled_by == key_id, agents.c.state != AgentState.REJECTED)
    return int(await tx.connection.scalar(let_in) or 0)


def waiting_agents() -> Select[int]:
    """Return the query of how many agents wait for approval."""
    return select(func.count()).select_from(agents).where(_UNDECIDED, agents.c.state == AgentState.WAITING)


async def find_agent_id(tx: ReadTx, customer_id: str, name: str) -> str | None:
    """Return the id of a customer's agent by its name, or None."""
    by_name = select(agents.c.id).where(agents.c.customer_id == customer_id, agents.c.name == name)
    found: str | None = await tx.connection.scalar(by_name)
    return found


async def count_jobs(tx: ReadTx, agent_id: str) -> int:
    """Return how many jobs the agent has."""
    found = await tx.connection.scalar(select(func.count()).select_from(jobs).where(jobs.c.agent_id == agent_id))
    return int(found or 0)


async def revoke_keys_of(tx: WriteTx, agent_id: str, now: datetime) -> None:
    """Revoke the keys of an agent that is about to be deleted; they stay listed, without it."""
    own = keys.c.agent_id == agent_id
    await tx.connection.execute(update(keys).where(own, keys.c.revoked_at.is_(None)).values(revoked_at=now))
    await tx.connection.execute(update(keys).where(own).values(agent_id=None))


async def lock_agents(tx: WriteTx, ids: Iterable[str], *, waits: bool = True) -> dict[str, Agent]:
    """Return agents by id, locked in id order, so that two workers cannot deadlock.

    Who has locked agents before in this transaction must not wait: then those that another transaction has locked are left out.
    """
    rows = await tx.fetch(LOCK_AGENTS if waits else _LOCK_FREE, agent_ids=sorted(set(ids)))
    found = [AGENTS.mapping.read_values(values) for values in rows]
    return {agent.id: agent for agent in found}


async def agents_by_id(tx: ReadTx, ids: Iterable[str]) -> dict[str, Agent]:
    """Return agents by id, without those that cannot be read."""
    found = await tx.connection.execute(select(agents).where(agents.c.id.in_(set(ids))))
    return {agent.id: agent for agent in readable(found, AGENTS.mapping.read, "agent")}


async def save_heard(tx: WriteTx, heard: Sequence[Agent]) -> None:
    """Save when agents reported last, when they count as silent, and what their reports show of their clock."""
    columns = AGENTS.mapping.write_columns(heard, _HEARD)
    await tx.change_columns(_SAVE_HEARD, {"of_id": [agent.id for agent in heard], **columns})


_PAST_LIMIT = Prepared(
    lambda _: (
        select(*AGENTS.mapping.columns)
        .where(agents.c.silent_at <= bindparam("before", type_=Utc), _IS_KNOWN)
        .order_by(agents.c.silent_at)
        .limit(bindparam("limit", type_=Integer))
    )
)


async def past_limit(tx: ReadTx, before: datetime, limit: int) -> tuple[list[Agent], list[str]]:
    """Return agents that may be silent from now on, and the ids of those that cannot be read. Their reports from before that moment are all decided on."""
    rows = await tx.fetch(_PAST_LIMIT, before=before, limit=limit)
    return split_readable(rows, AGENTS.mapping.read_values, "agent")


async def ask_later(tx: WriteTx, ids: Sequence[str], now: datetime) -> None:
    """Ask later whether agents that cannot be read are silent (`store/unreadable.py`)."""
    await put_off(tx, agents.c.silent_at, ids, now)


async def lock_past_limit(tx: WriteTx, ids: Collection[str], before: datetime) -> list[Agent]:
    """Claim those of these agents that may still be silent from now on."""
    if not ids:
        return []
    due = select(agents).where(agents.c.id.in_(ids), agents.c.silent_at <= before, _IS_KNOWN).order_by(agents.c.id)
    return readable(await tx.connection.execute(due.with_for_update(skip_locked=True)), AGENTS.mapping.read, "agent")
