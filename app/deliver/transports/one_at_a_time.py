"""Sends the messages to one address one after the other, in the order in which their attempts began."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.deliver.transport import ProgramTransport, cancelled_is_unsent
from app.domain.attempt import Outcome
from app.domain.message import Parcel


@dataclass(slots=True)
class OneAtATime:
    """A transport to programs that keep the state of each alert: an opening that is overtaken by its end would stay open there for ever."""

    transport: ProgramTransport
    _turns: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _waiting: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def send(self, parcel: Parcel) -> Outcome:
        """Wait for the turn of this address, and send."""
        with self._counted(parcel.address):
            turn = self._turns[parcel.address]
            with cancelled_is_unsent():
                await turn.acquire()
            try:
                return await self.transport.send(parcel)
            finally:
                turn.release()

    def preview(self, parcel: Parcel) -> str:
        """Return what would be sent."""
        return self.transport.preview(parcel)

    async def close(self) -> None:
        """Close pooled connections."""
        await self.transport.close()

    @contextmanager
    def _counted(self, address: str) -> Iterator[None]:
        self._waiting[address] += 1
        try:
            yield
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address], self._turns[address]
