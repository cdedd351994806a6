"""Remembers for a few seconds which id an agent's name has, so that not every event asks for it."""

import time
from collections.abc import Mapping

KNOWN_MOST = 50_000
FRESH_S = 5.0  # an agent that was deleted on another host comes back as a new one after this


class KnownAgents:
    """Ids of agents by (customer, name), bounded in number and age."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], str] = {}
        self._until = 0.0

    def find(self, customer_id: str, name: str) -> str | None:
        """Give the id if it is known."""
        return self._ids.get((customer_id, name)) if time.monotonic() < self._until else None

    def remember(self, ids: Mapping[tuple[str, str], str]) -> None:
        """Add ids that are committed."""
        if not ids:
            return
        now = time.monotonic()
        if now >= self._until or len(self._ids) + len(ids) > KNOWN_MOST:
            self._ids.clear()
            self._until = now + FRESH_S
        self._ids.update(ids)

    def forget(self) -> None:
        """Ask anew for every name. Called after an agent was deleted or renamed in this process."""
        self._ids.clear()
