"""Writes what keys used to the database: what was refused at once, for the alert about it; the bytes of the day once a minute.

Without the bytes, every key would have the whole day again after a restart.
"""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from app.context import AppContext
from app.core.errors import TocsinError
from app.core.log import log
from app.core.periodic import keep_repeating, run_in_background
from app.domain.excess import RESULTS, Excess
from app.intake.budgets import DAY_S, HOUR_S, KeyBudgets
from app.intake.flow import AgentFlows
from app.store.excesses import add_excesses
from app.store.keys import add_bytes

EVERY_S = 5.0
BYTES_EVERY = 12  # in rounds of EVERY_S


class UsageWriter:
    """Writes the usage of one process."""

    def __init__(self, context: AppContext, budgets: KeyBudgets, flows: AgentFlows) -> None:
        self._context, self._budgets, self._flows = context, budgets, flows
        self._rounds = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write until the block ends, and once more then."""
        try:
            async with run_in_background(keep_repeating(self._write_again, name="usage of keys", every=EVERY_S)):
                yield
        finally:
            await self.write(with_bytes=True)

    async def _write_again(self) -> None:
        self._rounds += 1
        await self.write(with_bytes=self._rounds % BYTES_EVERY == 0)

    async def write(self, *, with_bytes: bool) -> None:
        """Write what is new. If the database cannot be reached, only numbers in an alert are lost, and the bytes are written later."""
        now = self._context.clock().timestamp()
        noted = self._take_excesses(now)
        day = int(now // DAY_S)
        sent = (
            {
                meter.key.id: meter.unwritten
                for meter in self._budgets.meters.values()
                if meter.day == day and meter.unwritten
            }
            if with_bytes
            else {}
        )
        if not noted and not sent:
            return
        try:
            async with self._context.database.write() as tx:
                await add_excesses(tx, noted)
                await add_bytes(tx, sent, day)
        except TocsinError as cause:
            log.warning("could not store what keys have used", cause=cause.detail)
            return
        for key_id, count in sent.items():
            meter = self._budgets.meters.get(key_id)
            if meter is not None and meter.day == day:
                meter.note_written(count)

    def _take_excesses(self, now: float) -> list[Excess]:
        noted = [
            Excess(
                key_id=meter.key.id,
                what=budget.value,
                agent_id="",
                customer_id=meter.key.customer_id,
                since=datetime.fromtimestamp(refused.since, UTC),
                last_at=datetime.fromtimestamp(refused.last, UTC),
                events=refused.events,
                failures=refused.failures,
                most_of=max(refused.by_agent, key=lambda name: refused.by_agent[name], default=""),
            )
            for meter in self._budgets.meters.values()
            if meter.refused
            for budget, refused in meter.take_refused().items()
        ]
        since = datetime.fromtimestamp((self._flows.hour or now // HOUR_S) * HOUR_S, UTC)
        at = datetime.fromtimestamp(now, UTC)
        noted += [
            Excess(flow.key_id, RESULTS, agent_id, flow.customer_id, since, at, flow.results, flow.failures)
            for agent_id, flow in self._flows.take_large(now).items()
        ]
        return noted
