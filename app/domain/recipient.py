"""A recipient: who is notified, and by which transports in which order. Pure."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from app.domain.transport_options import TransportOptions

# The look-behind lets a long word be tried from its beginning alone: from each of its letters, it took the square of its length.
_URL = re.compile(r"((?<![a-z0-9+.-])[a-z0-9+.-]+://[^/?#\s]*)(\S*)", re.IGNORECASE)
_PATH_MOST, _SEGMENT_MOST, _HINT = 8, 12, 4


def shown_address(address: str) -> str:
    """Return an address as everybody may see it: of a URL the host and the start of its path, because the rest of it can be a secret."""
    return _URL.sub(lambda found: found[1] + _shown_path(found[2]), address)


def hidden_parts(address: str) -> list[str]:
    """Return the parts of a URL that can be a secret, the longest first, for texts of others that may repeat them."""
    shown = shown_address(address)
    parts = {part for path in _URL.findall(address) for part in re.split(r"[/?#&=]", path[1])}
    return sorted((part for part in parts if len(part) >= _PATH_MOST and part not in shown), key=len, reverse=True)


def _shown_path(path: str) -> str:
    if len(path) <= _PATH_MOST and "?" not in path:
        return path
    first, *rest = re.split(r"[/?#]", path.lstrip("/"), maxsplit=1)
    is_whole = len(first) <= _SEGMENT_MOST and (
        not first or any(rest)
    )  # alone it can be all of the secret, as a topic of ntfy is
    return f"/{first if is_whole else first[:_HINT]}…"


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

    @property
    def is_only_filed(self) -> bool:
        """Whether every transport is `file`: messages are then only written to a folder on the host of the service, and nobody gets them."""
        return bool(self.transports) and all(one.transport == "file" for one in self.transports)

    def has_address(self, address: str) -> bool:
        """Return whether one of the transports leads to an address."""
        return any(one.address.casefold() == address.casefold() for one in self.transports)
