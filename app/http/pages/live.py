"""/live: tells open pages that something changed, as server-sent events. One reader of the database serves all who see the same customers.

An event holds no data of anybody: only a number that differs from the one before. The page then reads itself again. It depends on the
customers that the reader may see: of others, nobody must learn even that something happened.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from app.context import AppContext
from app.core.errors import TocsinError
from app.http.api.dependencies import Context
from app.http.pages.session import SignedIn, SignedInPerson, find_signed_in
from app.store.alerts import Customers, state_of_alerts

router = APIRouter(include_in_schema=False)

_LOOK_EVERY_S, _SAY_EVERY_S = 2.0, 15.0
ANNOUNCE_EVERY_S = 10.0  # while something changes all the time, all open pages are read again once in so long
_MOST_OF_PERSON, _MOST = 20, 1_000
_STREAM_FOR_S = 600.0  # then the browser connects again
CHECK_SESSION_S = (
    20.0  # a stream goes on for at most so long after its session was ended or its person sees other customers
)


class TooManyPages(TocsinError):
    """Somebody, or everybody together, keeps more pages open than one process serves."""

    code = "too_many_pages"
    status = 429


class LiveState:
    """A text that changes whenever an alert of some customers opens, closes, repeats or is acknowledged. It is read at most every two seconds."""

    def __init__(self, context: AppContext, seen: Customers) -> None:
        self._context = context
        self._seen = seen
        self._lock = asyncio.Lock()
        self._read_at = self._announced_at = float("-inf")
        self._state = self._announced = ""

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


class LiveStreams:
    """The streams that are open, bounded for each person and in total, and the states that they wait for."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._open: Counter[str] = Counter()
        self._states: dict[frozenset[str] | None, LiveState] = {}
        self._used: Counter[frozenset[str] | None] = Counter()

    def check(self, person_id: str) -> None:
        """Raise TooManyPages where a person, or everybody, has enough open. The page then shows that it is not live."""
        if self._open[person_id] >= _MOST_OF_PERSON or self._open.total() >= _MOST:
            raise TooManyPages("too many pages are open at the same time: close some")

    async def stamp(self, seen: Customers) -> str:
        """Return what a stream of these customers would say now. A page that rests on it is at least as new as what was sent last."""
        state = self._states.get(None if seen is None else frozenset(seen)) or LiveState(self._context, seen)
        return await state.announced()

    @contextmanager
    def opened(self, person_id: str, seen: Customers) -> Iterator[LiveState]:
        """Count a stream while the block runs; yields the state that it waits for, which all with the same customers share."""
        scope = None if seen is None else frozenset(seen)
        self._open[person_id] += 1
        self._used[scope] += 1
        try:
            yield self._states.setdefault(scope, LiveState(self._context, seen))
        finally:
            self._open[person_id] -= 1
            self._used[scope] -= 1
            if self._open[person_id] <= 0:
                del self._open[person_id]
            if self._used[scope] <= 0:
                del self._used[scope]
                self._states.pop(scope, None)


@router.get("/live")
async def stream_live(request: Request, context: Context, who: SignedInPerson) -> StreamingResponse:
    """Say at once, at each change, and every 15 seconds that the page is up to date."""
    streams_of(request, context).check(who.id)
    headers = {"X-Accel-Buffering": "no"}  # a proxy that collects the stream would make it worthless
    return StreamingResponse(_events(request, context, who), media_type="text/event-stream", headers=headers)


def streams_of(request: Request, context: AppContext) -> LiveStreams:
    """Return the streams that this process has open."""
    found: LiveStreams | None = getattr(request.app.state, "live_streams", None)
    if found is None:
        found = request.app.state.live_streams = LiveStreams(context)
    return found


async def _events(request: Request, context: AppContext, who: SignedIn) -> AsyncIterator[str]:
    with streams_of(request, context).opened(who.id, who.customers) as state:
        clock = asyncio.get_running_loop().time
        until, sent, sent_at = clock() + _STREAM_FOR_S, None, float("-inf")
        checked_at = clock()
        yield "retry: 5000\n\n"
        while clock() < until and not request.app.state.is_stopping():
            found = sent
            if clock() - checked_at >= CHECK_SESSION_S:
                checked_at = clock()
                if not await _may_still_listen(request, who):
                    return
            with suppress(TocsinError):  # without a word for a while the page says that it is not live
                found = await state.announced()
                if found != sent or clock() - sent_at >= _SAY_EVERY_S:
                    sent, sent_at = found, clock()
                    yield f"event: state\ndata: {found}\n\n"
            await asyncio.sleep(_LOOK_EVERY_S)


async def _may_still_listen(request: Request, who: SignedIn) -> bool:
    """Say whether the session still stands and its person sees the same customers. An open page is no use of the session."""
    try:
        now = await find_signed_in(request, is_use=False)
    except TocsinError:  # the database cannot be read: the page says by itself that it is not live
        return True
    return now is not None and now.customers == who.customers
