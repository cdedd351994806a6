"""Starts the next tick of a stage at once instead of at its next poll. A lost wakeup costs a second, never an event.

Within the process, wakeups are asyncio events; between processes on PostgreSQL they travel by NOTIFY (store/engine.py).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Wakeups:
    """One asyncio event for each step between two stages. `far` sends a wakeup to other processes, if there are any."""

    events: asyncio.Event = field(default_factory=asyncio.Event)
    notices: asyncio.Event = field(default_factory=asyncio.Event)
    messages: asyncio.Event = field(default_factory=asyncio.Event)
    returned: asyncio.Event = field(default_factory=asyncio.Event)  # mails that came back
    edits: asyncio.Event = field(default_factory=asyncio.Event)  # those that leave something to do
    for_relays: asyncio.Event = field(default_factory=asyncio.Event)  # set with `messages`, for relays that wait
    far: Callable[[str], None] | None = None

    def wake(self, stage: str) -> None:
        """Wake the stage that waits for new `events`, `notices`, `messages`, `returned` mails or `edits`, in every process. Call after the commit."""
        self.wake_here(stage)
        if self.far is not None:
            self.far(stage)

    def wake_here(self, stage: str) -> None:
        """Wake only this process."""
        waiting = {
            "events": self.events,
            "notices": self.notices,
            "messages": self.messages,
            "returned": self.returned,
            "edits": self.edits,
        }
        if stage in waiting:
            waiting[stage].set()
        if stage == "messages":
            self.for_relays.set()
