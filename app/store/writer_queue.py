"""Who uses SQLite's one writer next: of those who wait, whoever is nearest to the mail server.

In the order of their coming, the first mail of a storm waited at each of its three steps behind a piece of deciding and a group of new
events: 0.2 s in all. Nobody is passed over for ever.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum

MOST_PASSED = 4  # after so many others that came later, one has the next turn


class WriteOrder(IntEnum):
    """What a transaction is for, in the order in which those that wait have their turn."""

    SEND = 0
    COMPOSE = 1
    STORE = 2
    OTHER = 3
    DECIDE = 4


@dataclass(slots=True)
class _QueuedTurn:
    order: WriteOrder
    turn: asyncio.Future[None]
    passed: int = 0


@dataclass(slots=True)
class WriterQueue:
    """Lets one transaction after the other use the writer."""

    _is_used: bool = False
    _waiting: list[_QueuedTurn] = field(default_factory=list)  # in the order of their coming

    @asynccontextmanager
    async def turn(self, order: WriteOrder, longest_s: float) -> AsyncIterator[None]:
        """Wait for the turn, then use the writer as long as the block runs. Raises TimeoutError."""
        await self._take(order, longest_s)
        try:
            yield
        finally:
            self._pass_on()

    def is_wanted(self, before: WriteOrder) -> bool:
        """Return whether somebody waits who goes before this one."""
        return any(one.order < before for one in self._waiting)

    async def _take(self, order: WriteOrder, longest_s: float) -> None:
        if not self._is_used:
            self._is_used = True
            return
        own = _QueuedTurn(order, asyncio.get_running_loop().create_future())
        self._waiting.append(own)
        try:
            async with asyncio.timeout(longest_s):
                await own.turn
        except BaseException:
            if own in self._waiting:
                self._waiting.remove(own)
            else:  # it had its turn at the same moment
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        # Those that were cancelled just now leave by themselves.
        waiting = [one for one in self._waiting if not one.turn.done()]
        if not waiting:
            self._is_used = False
            return
        chosen = min(waiting, key=lambda one: (one.passed < MOST_PASSED, one.order))  # the first of equals
        for earlier in self._waiting[: self._waiting.index(chosen)]:
            earlier.passed += 1
        self._waiting.remove(chosen)
        chosen.turn.set_result(None)
