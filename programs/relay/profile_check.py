"""Decide from a mail profile's table of providers whether its mail leaves without the spooler. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from programs.relay import properties as pr

STORE, ADDRESS_BOOK, TRANSPORT = 33, 35, 36  # PR_RESOURCE_TYPE
DEFAULT_STORE, OWN_STORE = 0x2, 0x100  # PR_RESOURCE_FLAGS
TIGHT_SERVICES = ("MSEMS",)  # Microsoft Exchange: the only one whose store and transport are known to belong together
EXCHANGE_PRIVATE_STORE = "5494a1c0297f101ba58708002b2a2517"  # PR_MDB_PROVIDER
_NO_ORDINAL = 1 << 30


@dataclass(frozen=True)
class Provider:
    """One row of a profile's provider table; ids are hex."""

    type: int
    flags: int
    service_uid: str
    service: str
    name: str
    ordinal: int = _NO_ORDINAL
    store: str = ""

    @classmethod
    def from_row(cls, row: Mapping[int, Any]) -> Provider:
        """Read a row as pywin32 returns it."""
        return cls(
            type=int(row.get(pr.PR_RESOURCE_TYPE) or 0),
            flags=int(row.get(pr.PR_RESOURCE_FLAGS) or 0),
            service_uid=pr.as_hex(row.get(pr.PR_SERVICE_UID)),
            service=str(row.get(pr.PR_SERVICE_NAME_W) or "")[:100],
            name=str(row.get(pr.PR_DISPLAY_NAME_W) or "")[:200],
            ordinal=int(row.get(pr.PR_PROVIDER_ORDINAL, _NO_ORDINAL)),
            store=pr.as_hex(row.get(pr.PR_MDB_PROVIDER)),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the values that a child reports."""
        return asdict(self)

    @property
    def is_exchange(self) -> bool:
        """Whether this belongs to the one service that is known to be tight."""
        return self.service.upper() in TIGHT_SERVICES


def default_store(providers: Sequence[Provider]) -> Provider | None:
    """Return the profile's default store."""
    return next((provider for provider in providers if provider.type == STORE and provider.flags & DEFAULT_STORE), None)


def transports(providers: Sequence[Provider]) -> list[Provider]:
    """Return the transports in the order in which the profile uses them."""
    return sorted((one for one in providers if one.type == TRANSPORT), key=lambda transport: transport.ordinal)


def address_books(providers: Sequence[Provider]) -> list[Provider]:
    """Return the profile's address books."""
    return [provider for provider in providers if provider.type == ADDRESS_BOOK]


def tightness(providers: Sequence[Provider]) -> tuple[bool, str]:
    """Return whether the default store hands mail to its own transport, and the reason.

    Tight is a first transport of the default store's own service, which is Exchange's, or one that declares the store to be its own.
    """
    store, order = default_store(providers), transports(providers)
    if store is None:
        return False, "the profile has no default store"
    if not order:
        return False, "the profile has no transport"
    first = order[0]
    pair = f'store "{store.name}" ({store.service}), first transport "{first.name}" ({first.service})'
    if not store.service_uid or first.service_uid != store.service_uid:
        return False, f"store and first transport belong to two services, so mail stays in the Outbox: {pair}"
    if first.flags & OWN_STORE:
        return True, f"the transport is tied to its own store: {pair}"
    if store.is_exchange and first.is_exchange:
        return True, f"store and first transport are one Exchange service: {pair}"
    return False, f"store and first transport are one service, but none that is known to need no spooler: {pair}"
