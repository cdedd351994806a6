"""The places for connections of one listener. When they are all taken, a connection that has shown no good reason yet makes room for a new one.

A newcomer is not refused instead: then whoever holds the places, and requests nothing, would shut out all others.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, Protocol, TypeVar

from app.core import metrics
from app.core.log import log
from app.core.networks import Network, is_in, sender_of

_LOG_EVERY_S = 60.0


class Standing(Enum):
    """Who must make room for whom."""

    STRANGER = auto()  # for anybody
    KNOWN = auto()  # only for another known one
    SERVED = auto()  # for nobody


class Visitor(Protocol):
    """A connection that takes a place."""

    @property
    def standing(self) -> Standing:
        """Its standing now."""

    def make_room(self) -> None:
        """Close it. Its place has been given to another."""


V = TypeVar("V", bound=Visitor)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many places there are, of which `kept` are for known ones; `proxies` are networks without a limit per address."""

    listener: str
    total: int
    per_address: int
    kept: int = 0
    proxies: tuple[Network, ...] = ()


class Places(Generic[V]):
    """Assigns places to connections. Each step costs the same, however many there are, except where many that are served came first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all: dict[
            V, str | None
        ] = {}  # in the order in which they came: the value is the sender, None for a proxy
        self._by_sender: dict[str, dict[V, None]] = {}
        self._strangers: set[V] = set()  # who came without being known; some are served by now
        self._proxies: dict[str, bool] = {}
        self._logged_at: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[V]:
        return iter(list(self._all))

    def take(self, visitor: V, address: str | None, *, is_known: bool = False) -> bool:
        """Let it take a place. Return False if all others are served, so that none can make room."""
        limits = self._limits
        sender = None if address is None or self._is_proxy(address) else sender_of(address)
        if sender is not None and len(self._by_sender.get(sender, ())) >= limits.per_address:
            self._make_room("address", self._by_sender[sender])
        if not is_known and len(self._strangers) >= limits.total - limits.kept:
            self._make_room("full", (visitor for visitor in self._all if visitor in self._strangers))
        if len(self._all) >= limits.total and not self._make_room("full", self._all):
            has_room = is_known and self._make_room("full", self._all, (Standing.STRANGER, Standing.KNOWN))
            if not has_room:
                self._count("refused")
                return False
        self._all[visitor] = sender
        if sender is not None:
            self._by_sender.setdefault(sender, {})[visitor] = None
        if not is_known:
            self._strangers.add(visitor)
        return True

    def release(self, visitor: V) -> None:
        """Take its place back, if it still has one."""
        sender = self._all.pop(visitor, None)
        self._strangers.discard(visitor)
        if sender is not None:
            of_sender = self._by_sender[sender]
            of_sender.pop(visitor, None)
            if not of_sender:
                del self._by_sender[sender]

    def promote(self, visitor: V) -> None:
        """Note that it is served from now on: it counts no longer as a stranger."""
        self._strangers.discard(visitor)

    def reassign(self, visitor: V) -> None:
        """Close a connection for the sake of others."""
        self.release(visitor)
        visitor.make_room()

    def _make_room(
        self, reason: str, among: Iterable[V], standings: tuple[Standing, ...] = (Standing.STRANGER,)
    ) -> bool:
        found, passed = None, []
        for visitor in among:
            if visitor.standing in standings:
                found = visitor
                break
            passed.append(visitor)
        for visitor in passed:  # to the end, so that the next search does not pass them again
            sender = self._all[visitor] = self._all.pop(visitor)
            if sender is not None:
                self._by_sender[sender][visitor] = self._by_sender[sender].pop(visitor)
        if found is None:
            return False
        self.reassign(found)
        self._count(reason)
        return True

    def _count(self, reason: str) -> None:
        metrics.CONNECTIONS_CUT.labels(self._limits.listener, reason).inc()
        now = time.monotonic()
        if now - self._logged_at.get(reason, -_LOG_EVERY_S) < _LOG_EVERY_S:
            return
        self._logged_at[reason] = now
        most = max(self._by_sender.items(), key=lambda one: len(one[1]), default=("none", {}))
        log.warning(
            _WORDS[reason],
            listener=self._limits.listener,
            places=self._limits.total,
            taken=len(self._all),
            senders=len(self._by_sender),
            most_from=most[0],
            most=len(most[1]),
        )

    def _is_proxy(self, address: str) -> bool:
        found = self._proxies.get(address)
        if found is None:
            if len(self._proxies) >= 4096:  # noqa: PLR2004  (bounds the memory, however many addresses come)
                self._proxies.clear()
            found = self._proxies[address] = is_in(address, self._limits.proxies)
        return found


_WORDS = {
    "full": "all places for connections are taken; the oldest without a request makes room for a new one",
    "address": "one address holds as many connections as one may; its oldest without a request makes room",
    "refused": "all places for connections are taken by others that are being served; a new one was refused",
}
