"""What open pages hear: a text that changes with the alerts that somebody sees, and how many problems nobody has acknowledged.

Both are read once for all who see the same customers, whether their pages wait for a change (live.py) or are being rendered.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import Request

from app.context import AppContext
from app.core.errors import TocsinError
from app.http.pages.overview import KeptReads, Overview, read_overview
from app.store.alerts import Customers, state_of_alerts

_LOOK_EVERY_S = 2.0
ANNOUNCE_EVERY_S = 10.0  # while something changes all the time, all open pages are read again once in so long
_COUNTED_FOR_S = 30.0  # a silence that begins or ends changes the count, and no alert
_MOST_OF_PERSON, _MOST = 20, 1_000
_STATES_MOST = 200


@dataclass(frozen=True, slots=True)
class LiveMark:
    """What a page rests on: the state that was announced before its data were read, and how many problems nobody has acknowledged."""

    stamp: str
    unacknowledged: int


class TooManyPages(TocsinError):
    """Somebody, or everybody together, keeps more pages open than one process serves."""

    code = "too_many_pages"
    status = 429


class LiveState:
    """A text that changes whenever an alert of some customers opens, closes, repeats or is acknowledged. It is read at most every two seconds."""

    def __init__(self, context: AppContext, seen: Customers, overviews: KeptReads[Overview] | None = None) -> None:
        self._context = context
        self._seen = seen
        self._overviews = KeptReads[Overview]() if overviews is None else overviews
        self._lock = asyncio.Lock()
        self._read_at = self._announced_at = float("-inf")
        self._state = self._announced = ""
        self._counting = asyncio.Lock()
        self._counted_at, self._counted = float("-inf"), 0
        self._counted_as_of: str | None = None

    async def announced(self) -> str:
        """Return the state that is sent to open pages: a change after some seconds of quiet at once, else one in ten seconds."""
        found = await self.read()
        now = asyncio.get_running_loop().time()
        if found != self._announced and now - self._announced_at >= ANNOUNCE_EVERY_S:
            self._announced, self._announced_at = found, now
        return self._announced

    async def read(self) -> str:
        """Return the state as of the last seconds. Raises TocsinError where the database cannot be read."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if now - self._read_at >= _LOOK_EVERY_S:
                async with self._context.database.read() as tx:
                    found = await state_of_alerts(tx, self._seen)
                self._state = hashlib.sha256(repr(found).encode()).hexdigest()[:16]
                self._read_at = now
            return self._state

    async def unacknowledged(self) -> int:
        """Return how many problems nobody has acknowledged: as of the announced state, so that storms cost one count in ten seconds."""
        stamp = await self.announced()
        async with self._counting:
            now = asyncio.get_running_loop().time()
            if self._counted_as_of != stamp or now - self._counted_at >= _COUNTED_FOR_S:
                self._counted_as_of, self._counted_at = stamp, now
                self._counted = len((await self.overview(stamp)).nobody)
            return self._counted

    async def overview(self, stamp: str) -> Overview:
        """Return the open problems, as of this state or later; read once for the number on each page and for the pages that show them."""
        return await self._overviews.of(self._seen, stamp, self._read_overview)

    async def _read_overview(self) -> Overview:
        async with self._context.database.read() as tx:
            return await read_overview(tx, self._context, self._seen)

    def announce_at_once(self) -> None:
        """Announce what the next read finds, however soon after the last change."""
        self._announced_at = float("-inf")

    def forget(self) -> None:
        """Read again at the next request, and announce what that finds."""
        self._read_at = self._announced_at = float("-inf")

    def forget_count(self) -> None:
        """Count again at the next request: somebody changed something and looks at what became of it."""
        self._counted_as_of = None


class LiveStreams:
    """The streams that are open, bounded for each person and in total, and the states that they wait for."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._open: Counter[str] = Counter()
        self._states: dict[frozenset[str] | None, LiveState] = {}
        self._overviews: KeptReads[Overview] = KeptReads()
        self._used: Counter[frozenset[str] | None] = Counter()

    def check(self, person_id: str) -> None:
        """Raise TooManyPages where a person, or everybody, has enough open. The page then shows that it is not live."""
        if self._open[person_id] >= _MOST_OF_PERSON or self._open.total() >= _MOST:
            raise TooManyPages("too many pages are open at the same time: close some")

    async def stamp(self, seen: Customers) -> str:
        """Return what a stream of these customers would say now. A page that rests on it is at least as new as what was sent last."""
        state = self._state_of(seen)
        if not self._is_heard(seen):
            state.forget()
        return await state.announced()

    async def mark(self, seen: Customers) -> LiveMark:
        """Return what a page of somebody who sees these customers rests on, if its data are read after this."""
        state = self._state_of(seen)
        if not self._is_heard(seen):
            state.announce_at_once()
        return LiveMark(await state.announced(), await state.unacknowledged())

    def _is_heard(self, seen: Customers) -> bool:
        """Say whether a page waits for this state. Otherwise nobody needs to be kept from reading too often: only who asks reads."""
        return self._used[_scope_of(seen)] > 0

    def forget_counts(self) -> None:
        """Read and count the problems again at the next request."""
        self._overviews.forget()
        for state in self._states.values():
            state.forget_count()

    def _state_of(self, seen: Customers) -> LiveState:
        scope = _scope_of(seen)
        if scope not in self._states and len(self._states) >= _STATES_MOST:
            self._states = {own: one for own, one in self._states.items() if self._used[own] > 0}
        return self._states.setdefault(scope, LiveState(self._context, seen, self._overviews))

    async def overview(self, seen: Customers, stamp: str) -> Overview:
        """Return the open problems of these customers, as of what was announced as `stamp` or later."""
        return await self._state_of(seen).overview(stamp)

    @contextmanager
    def opened(self, person_id: str, seen: Customers) -> Iterator[LiveState]:
        """Count a stream while the block runs; yields the state that it waits for, which all with the same customers share."""
        scope = _scope_of(seen)
        self._open[person_id] += 1
        self._used[scope] += 1
        try:
            yield self._state_of(seen)
        finally:
            self._open[person_id] -= 1
            self._used[scope] -= 1
            if self._open[person_id] <= 0:
                del self._open[person_id]
            if self._used[scope] <= 0:
                del self._used[scope]


def _scope_of(seen: Customers) -> frozenset[str] | None:
    """Return what the states and streams of these customers are found by."""
    return None if seen is None else frozenset(seen)


def streams_of(request: Request, context: AppContext) -> LiveStreams:
    """Return the streams that this process has open."""
    found: LiveStreams | None = getattr(request.app.state, "live_streams", None)
    if found is None:
        found = request.app.state.live_streams = LiveStreams(context)
    return found
