"""/live: tells open pages that something changed, as server-sent events. One reader of the database serves all pages of a process.

An event holds no data of anybody: only a number that differs from the one before. The page then reads itself again.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from app.context import AppContext
from app.core.errors import TocsinError
from app.http.api.dependencies import Context
from app.http.pages.session import SignedInPerson
from app.store.problems import state_of_alerts

router = APIRouter(include_in_schema=False)

_LOOK_EVERY_S, _SAY_EVERY_S = 2.0, 15.0
_STREAM_FOR_S = 600.0  # then the browser connects again, and its session is checked again


class LiveState:
    """A text that changes whenever an alert opens, closes, repeats or is acknowledged. It is read at most every two seconds."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self._state = ""

    async def read(self) -> str:
        """Return the state as of the last seconds. Raises TocsinError where the database cannot be read."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if now - self._read_at >= _LOOK_EVERY_S:
                async with self._context.database.read() as tx:
                    found = await state_of_alerts(tx)
                self._state = hashlib.sha256(repr(found).encode()).hexdigest()[:16]
                self._read_at = now
            return self._state


@router.get("/live")
async def stream_live(request: Request, context: Context, _who: SignedInPerson) -> StreamingResponse:
    """Say at once, at each change, and every 15 seconds that the page is up to date."""
    headers = {"X-Accel-Buffering": "no"}  # a proxy that collects the stream would make it worthless
    return StreamingResponse(_events(request, context), media_type="text/event-stream", headers=headers)


async def _events(request: Request, context: AppContext) -> AsyncIterator[str]:
    state: LiveState | None = getattr(request.app.state, "live_state", None)
    if state is None:
        state = request.app.state.live_state = LiveState(context)
    clock = asyncio.get_running_loop().time
    until, sent, sent_at = clock() + _STREAM_FOR_S, None, float("-inf")
    yield "retry: 5000\n\n"
    while clock() < until and not request.app.state.is_stopping():
        found = sent
        with suppress(TocsinError):  # without a word for a while the page says that it is not live
            found = await state.read()
            if found != sent or clock() - sent_at >= _SAY_EVERY_S:
                sent, sent_at = found, clock()
                yield f"event: state\ndata: {found}\n\n"
        await asyncio.sleep(_LOOK_EVERY_S)
