"""Wakes the next tick now instead of at its poll. A lost ring costs a second, never an event: the poll finds the row.

Rings within the process are asyncio events; between processes on PostgreSQL they travel by NOTIFY (store/bell.py).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Wakeups:
    """One bell for each hand-over of the pipeline. `far` carries a ring to other processes, when there are any."""

    events: asyncio.Event = field(default_factory=asyncio.Event)
    notices: asyncio.Event = field(default_factory=asyncio.Event)
    messages: asyncio.Event = field(default_factory=asyncio.Event)
    for_relays: asyncio.Event = field(default_factory=asyncio.Event)  # as `messages`, for relays that wait
    far: Callable[[str], None] | None = None

    def wake(self, stage: str) -> None:
        """Wake whoever waits for new `events`, `notices` or `messages`, here and elsewhere. Call after the commit."""
        self.wake_here(stage)
        if self.far is not None:
            self.far(stage)

    def wake_here(self, stage: str) -> None:
        """Wake only this process."""
        bells = {"events": self.events, "notices": self.notices, "messages": self.messages}
        if stage in bells:
            bells[stage].set()
        if stage == "messages":
            self.for_relays.set()
