"""Starts the next tick of a stage at once instead of at its next poll. A lost wakeup costs seconds (`idle`), never an event.

Within the process, wakeups are asyncio events; between processes on PostgreSQL they travel by NOTIFY (store/engine.py).
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

# How long a stage that has nothing to do waits for its wakeup. After it, it looks at the tables: a command on the same SQLite file
# wakes nobody, and a wakeup may be lost.
IDLE = timedelta(seconds=15)
UNHEARD = timedelta(seconds=1)  # while the wakeups of other processes do not arrive


@dataclass(slots=True)
class Wakeups:
    """One asyncio event for each step between two stages. `far` sends a wakeup to other processes, if there are any.

    `are_heard`: whether those of other processes arrive.
    """

    events: asyncio.Event = field(default_factory=asyncio.Event)
    notices: asyncio.Event = field(default_factory=asyncio.Event)
    messages: asyncio.Event = field(default_factory=asyncio.Event)
    returned: asyncio.Event = field(default_factory=asyncio.Event)  # mails that came back
    edits: asyncio.Event = field(default_factory=asyncio.Event)  # those that leave something to do
    for_relays: asyncio.Event = field(default_factory=asyncio.Event)  # set with `messages`, for relays that wait
    transports: set[str] = field(default_factory=set)  # for which this process has just stored messages
    sent_here: frozenset[str] = frozenset()  # the transports by which this process sends
    is_any_due: bool = True  # whether messages of other transports than those above may be due
    far: Callable[[str], None] | None = None
    are_heard: bool = True

    @property
    def idle(self) -> timedelta:
        """How long a stage may wait for its wakeup, if nothing falls due before."""
        return IDLE if self.are_heard else UNHEARD

    def wake(self, stage: str) -> None:
        """Wake the stage that waits for new `events`, `notices`, `messages`, `returned` mails or `edits`, in every process. Call after the commit."""
        self.wake_here(stage)
        if self.far is not None:
            self.far(stage)

    def wake_transports(self, names: Iterable[str]) -> None:
        """Wake the delivery of these transports, for which messages were stored. It need not ask first for which any are due.

        Other processes are woken only for what this one does not send itself.
        """
        named = set(names)
        if not named <= self.sent_here:
            self.wake("messages")
        self.transports |= named
        self.messages.set()

    def wake_here(self, stage: str) -> None:
        """Wake only this process."""
        waiting = self._by_stage()
        if stage in waiting:
            waiting[stage].set()
        if stage == "messages":
            self.is_any_due = True
            self.for_relays.set()

    def wake_all_here(self, *, are_heard: bool) -> None:
        """Wake every stage of this process when the wakeups of others are no longer heard, or are heard again: some may be lost."""
        self.are_heard = are_heard
        for stage in self._by_stage():
            self.wake_here(stage)

    def _by_stage(self) -> dict[str, asyncio.Event]:
        return {
            "events": self.events,
            "notices": self.notices,
            "messages": self.messages,
            "returned": self.returned,
            "edits": self.edits,
        }
