"""Counts the results of each agent by the hour, in memory: one that reports many times its usual is a flood (decide/flood.py decides)."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from app.domain.budget import is_routine
from app.domain.excess import RESULTS_FLOOR
from app.intake.budgets import SenderKey
from app.store.intake import NewEvent

AGENTS_MOST = 50_000  # counted in one hour; there are more only where agents are made up, which their own budget limits
_HOUR_S = 3600


@dataclass(slots=True)
class AgentFlow:
    """The results of one agent in this hour, and the key under which the first came. `written`: how many the database knows of."""

    key_id: str
    customer_id: str
    results: int = 0
    failures: int = 0
    written: int = 0


class AgentFlows:
    """The counts of this hour."""

    def __init__(self) -> None:
        self._by_agent: dict[str, AgentFlow] = {}
        self.hour = 0  # the hour of the last look, since 1970; 0: there was none yet

    def count(
        self, of_keys: Iterable[tuple[SenderKey | None, Sequence[NewEvent]]], duplicates: Collection[str]
    ) -> None:
        """Count the results among events that were just stored."""
        counted = self._by_agent
        for key, events in of_keys:
            if key is None:
                continue
            for event in events:
                if event.outcome is None or event.id in duplicates:
                    continue
                flow = counted.get(event.agent_id)
                if flow is None:
                    if len(counted) >= AGENTS_MOST:
                        continue
                    flow = counted[event.agent_id] = AgentFlow(key.id, event.customer_id)
                flow.results += 1
                if not is_routine(event.outcome, event.severity):
                    flow.failures += 1

    def take_large(self, now: float) -> dict[str, AgentFlow]:
        """Return the flows that may be too much and have grown by a quarter, by the agent's id; then count from zero if the hour is over."""
        large = {
            agent_id: flow
            for agent_id, flow in self._by_agent.items()
            if flow.results >= RESULTS_FLOOR and flow.results >= flow.written * 1.25
        }
        for flow in large.values():
            flow.written = flow.results
        hour = int(now // _HOUR_S)
        if hour != self.hour:
            self._by_agent = {} if self.hour else self._by_agent
            self.hour = hour
        return large
