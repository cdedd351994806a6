"""A recipient: who is notified, and by which transports in which order. Pure."""

from dataclasses import dataclass, field
from datetime import datetime

from app.domain.transport_options import TransportOptions


@dataclass(frozen=True, slots=True)
class Address:
    """One way to reach a recipient: a mail address for smtp, graph, mapi and file, a URL or a host for transports to programs.

    Two addresses are the same if transport and address are: `options` only say how it is used.
    """

    transport: str
    address: str
    options: TransportOptions | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Recipient:
    """A person or a system that is notified. `transports` has the first choice first."""

    id: str
    name: str
    customer_id: str | None
    transports: tuple[Address, ...]
    follows_settings: bool = False
    created_at: datetime | None = None  # None: not stored yet
    version: int = 1

    def has_address(self, address: str) -> bool:
        """Return whether one of the transports leads to an address."""
        return any(one.address.casefold() == address.casefold() for one in self.transports)
