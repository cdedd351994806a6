"""A recipient: who is notified, and by which transports in which order. Pure."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from app.domain.transport_options import TransportOptions

_URL = re.compile(r"([a-z][a-z0-9+.-]*://[^/?#\s]*)(\S*)", re.IGNORECASE)
_PATH_MOST, _SEGMENT_MOST, _HINT = 8, 12, 4


def shown_address(address: str) -> str:
    """Return an address as everybody may see it: of a URL the host and the start of its path, because the rest of it can be a secret."""
    return _URL.sub(lambda found: found[1] + _shown_path(found[2]), address)


def _shown_path(path: str) -> str:
    if len(path) <= _PATH_MOST and "?" not in path:
        return path
    first = re.split(r"[/?#]", path.lstrip("/"), maxsplit=1)[0]
    return f"/{first if len(first) <= _SEGMENT_MOST else first[:_HINT]}…"


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
