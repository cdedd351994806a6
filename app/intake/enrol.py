"""Lets agents in: finds those that events name, creates unknown ones as far as the key's limits allow, and keeps count of those refused."""

import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from app.context import AppContext
from app.core import metrics
from app.core.errors import TocsinError
from app.core.log import log
from app.core.periodic import keep_repeating, run_in_background
from app.domain.agent import AgentState
from app.domain.enrolment import EnrolmentLimits, EnrolmentRefusal, refuse_rejected
from app.store import keys
from app.store.agents import count_enrolled
from app.store.intake import NewAgent, create_agents, find_agents
from app.store.transactions import WriteTx

STORE_EVERY_S = 10.0


class AskedAgent(NamedTuple):
    """An agent that an event names, and the limits of the key that sent it; None: of a sender without limits."""

    customer_id: str
    name: str
    limits: EnrolmentLimits | None


@dataclass(slots=True)
class Enrolled:
    """The ids of agents, and those that were not let in: by a limit of the key, or because its budget is used up."""

    ids: dict[tuple[str, str], str] = field(default_factory=dict)
    refused: dict[AskedAgent, EnrolmentRefusal] = field(default_factory=dict)
    over_budget: set[AskedAgent] = field(default_factory=set)


async def let_in(
    tx: WriteTx, asked: Collection[AskedAgent], now: datetime, has_room: Callable[[AskedAgent], bool]
) -> Enrolled:
    """Return the ids of agents. One that is unknown is created, unless the limits of its key refuse it, or its budget has no room."""
    found = await find_agents(tx, {agent[:2] for agent in asked})
    enrolled, new = Enrolled(), dict[tuple[str, str], NewAgent]()
    let_in_by = await _count_let_in(tx, [agent for agent in asked if agent[:2] not in found])
    for agent in asked:
        known = found.get(agent[:2])
        limits = agent.limits
        if known is not None and known.state is AgentState.REJECTED:
            enrolled.refused[agent] = refuse_rejected(agent.name)
        elif known is not None or agent[:2] in new:
            continue
        elif limits is None:
            new[agent[:2]] = NewAgent(agent.customer_id, agent.name)
        else:
            refusal = limits.refuse_unknown(agent.name, let_in_by.get(limits.key_id, 0), now)
            if refusal is not None:
                enrolled.refused[agent] = refusal
                continue
            if not has_room(agent):
                enrolled.over_budget.add(agent)
                continue
            state = AgentState.WAITING if limits.approve else AgentState.APPROVED
            new[agent[:2]] = NewAgent(agent.customer_id, agent.name, state, limits.key_id)
            let_in_by[limits.key_id] = let_in_by.get(limits.key_id, 0) + 1
    found |= await create_agents(tx, new.values(), now)
    enrolled.ids = {name: known.id for name, known in found.items() if known.state is not AgentState.REJECTED}
    enrolled.over_budget = {agent for agent in enrolled.over_budget if agent[:2] not in enrolled.ids}
    return enrolled


async def _count_let_in(tx: WriteTx, unknown: Collection[AskedAgent]) -> dict[str, int]:
    """Return how many agents each key let in before; only of keys that have a limit."""
    limited = {agent.limits.key_id for agent in unknown if agent.limits and agent.limits.agents_most is not None}
    counts: dict[str, int] = {}
    for key_id in sorted(
        limited
    ):  # in one order in all processes: two that lock keys in different orders would deadlock
        await keys.lock_key(tx, key_id)
        counts[key_id] = await count_enrolled(tx, key_id)
    return counts


@dataclass(slots=True)
class _Refused:
    count: int
    why: str
    at: datetime


class EnrolmentRefusals:
    """Counts what the limits of keys refused, and stores the counts a few times a minute: a stranger must not cause a write for each try."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._refused: dict[str, _Refused] = {}  # by key; there are no more than the keys that exist

    def note(self, limits: EnrolmentLimits, refusal: EnrolmentRefusal) -> None:
        """Count one refusal."""
        metrics.NOT_LET_IN.labels(refusal.rule).inc()
        before = self._refused.get(limits.key_id)
        count = 1 + (before.count if before is not None else 0)
        self._refused[limits.key_id] = _Refused(count, refusal.detail, self._context.clock())

    @contextlib.asynccontextmanager
    async def being_stored(self) -> AsyncIterator[None]:
        """While the block runs, store the counts every few seconds, and at its end."""
        try:
            async with run_in_background(keep_repeating(self.store, name="refusals of keys", every=STORE_EVERY_S)):
                yield
        finally:
            await self.store()

    async def store(self) -> None:
        """Store and log what was refused since the last time."""
        refused, self._refused = self._refused, {}
        if not refused:
            return
        for key_id, one in refused.items():
            log.warning("a key refused agents by its limits", key_id=key_id, count=one.count, newest=one.why)
        try:
            async with self._context.database.write() as tx:
                for key_id, one in sorted(refused.items()):
                    await keys.note_refusals(tx, key_id, one.count, one.at, one.why)
        except TocsinError as cause:  # the log and the metric have them
            log.warning("could not store what keys refused", cause=cause.detail)
