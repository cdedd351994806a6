"""Counts refused reports by agent in the memory of this process, and stores the counts a few times a minute.

A sender whose reports are refused must not cause a write for each of them, nor fill the memory with names: only agents that exist are stored.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from app.context import AppContext
from app.core.errors import TocsinError
from app.core.log import log
from app.core.periodic import keep_repeating, run_in_background
from app.domain.refused_reports import WHY_MOST, RefusedReports
from app.store.excesses import add_refused
from app.store.intake import find_agents

EVERY_S = 10.0
MOST = 2_000  # names of which refusals are kept until they are stored
AT_ONCE = 200  # agents in one transaction


@dataclass(slots=True)
class _Count:
    since: datetime
    last_at: datetime
    count: int
    why: str


class RefusedCounts:
    """What was refused since it was stored last, by customer and name of the agent."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._refused: dict[tuple[str, str], _Count] = {}

    def note(self, customer_id: str, agent: str, code: str, detail: str) -> None:
        """Count one refused report."""
        now, why = self._context.clock(), f"{detail[:WHY_MOST]} ({code})"
        one = self._refused.get((customer_id, agent))
        if one is not None:
            one.last_at, one.count, one.why = now, one.count + 1, why
        elif len(self._refused) < MOST:
            self._refused[customer_id, agent] = _Count(now, now, 1, why)

    @contextlib.asynccontextmanager
    async def being_stored(self) -> AsyncIterator[None]:
        """While the block runs, store the counts every few seconds, and at its end."""
        try:
            async with run_in_background(keep_repeating(self.store, name="refused reports", every=EVERY_S)):
                yield
        finally:
            await self.store()

    async def store(self) -> None:
        """Store what was refused since the last time, of agents that exist."""
        refused, self._refused = self._refused, {}
        names = sorted(refused)
        try:
            for start in range(0, len(names), AT_ONCE):
                some = names[start : start + AT_ONCE]
                async with self._context.database.read() as tx:
                    known = await find_agents(tx, some)
                noted = [
                    RefusedReports(known[name].id, name[0], one.since, one.last_at, one.count, one.why)
                    for name, one in ((name, refused[name]) for name in some)
                    if name in known
                ]
                if noted:
                    async with self._context.database.write() as tx:
                        await add_refused(tx, noted)
        except TocsinError as cause:  # the sender has the answers, and the log of its key the count
            log.warning("the counts of refused reports could not be stored", cause=cause.detail)
