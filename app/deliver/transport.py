"""What every transport promises, and the fake that tests script. It must not know any transport."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from app.domain.message import Parcel
from app.domain.outcome import Outcome


class Unsent(Exception):
    """A send was cancelled before anything of the message was handed over: nobody needs to be in doubt about it."""


@contextmanager
def nothing_sent() -> Iterator[None]:
    """Make a cancellation within the block an `Unsent`."""
    try:
        yield
    except asyncio.CancelledError as stop:
        raise Unsent from stop


class Transport(Protocol):
    """Sends one message at a time, from many tasks at once. Never raises for a failed send: says how it ended."""

    async def send(self, parcel: Parcel) -> Outcome:
        """Send and report. Bounded in time by the transport's own settings. Cancelled, it raises Unsent if it can vouch for that."""
        ...

    async def close(self) -> None:
        """Let go of pooled connections."""
        ...


@dataclass(slots=True)
class Recorded:
    """The fake: plays a script of outcomes (the last one for ever) and keeps what it was given."""

    outcomes: Iterable[Outcome]
    sent: list[Parcel] = field(default_factory=list)

    async def send(self, parcel: Parcel) -> Outcome:
        """Keep the parcel and play the next outcome."""
        self.sent.append(parcel)
        script = list(self.outcomes)
        return script[min(len(self.sent), len(script)) - 1]

    async def close(self) -> None:
        """Do nothing: there is no connection."""
