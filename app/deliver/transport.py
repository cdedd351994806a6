"""The interface of all transports, and the fake transport that tests script."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from app.domain.attempt import Outcome
from app.domain.message import Parcel

# Requests of one app to one mailbox (https://learn.microsoft.com/graph/throttling-limits). Here, so that only a service that uses Graph
# loads its transport.
GRAPH_CONCURRENT = 4


class Unsent(Exception):
    """A send was cancelled before any part of the message was handed over, so the message was certainly not sent."""


@contextmanager
def cancelled_is_unsent() -> Iterator[None]:
    """Raise `Unsent` in place of a cancellation inside the block."""
    try:
        yield
    except asyncio.CancelledError as stop:
        raise Unsent from stop


class Transport(Protocol):
    """Sends messages. Many tasks may call `send` at the same time."""

    async def send(self, parcel: Parcel) -> Outcome:
        """Send one message and return the outcome; a failed send is an outcome, not an exception.

        The transport's own settings limit the time. When cancelled, it raises Unsent if it knows that nothing was sent.
        """
        ...

    async def close(self) -> None:
        """Close pooled connections."""
        ...


class ProgramTransport(Transport, Protocol):
    """Makes requests of the JSON document, and can show them without sending them. Sending them a second time must change nothing."""

    def preview(self, parcel: Parcel) -> str:
        """Return exactly what would be sent, as text. Pure: the time is that of the document. Raises BadDocument."""
        ...


@dataclass(slots=True)
class FakeTransport:
    """Returns the scripted outcomes in order, the last one repeatedly, and keeps the parcels it was asked to send."""

    outcomes: Iterable[Outcome]
    sent: list[Parcel] = field(default_factory=list)

    async def send(self, parcel: Parcel) -> Outcome:
        """Keep the parcel and return the next outcome."""
        self.sent.append(parcel)
        script = list(self.outcomes)
        return script[min(len(self.sent), len(script)) - 1]

    async def close(self) -> None:
        """Do nothing: there is no connection."""
