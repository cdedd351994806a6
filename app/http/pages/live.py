"""/live: tells open pages that something changed, as server-sent events. One reader of the database serves all who see the same customers.

An event holds no data of anybody: a text that differs from the one before, after which the page offers to be read again, and how many
problems nobody has acknowledged. Both depend on the customers that the reader may see: of others, nobody must learn even that something
happened.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from app.context import AppContext
from app.core.errors import TocsinError
from app.http.api.dependencies import Context
from app.http.pages.live_state import streams_of
from app.http.pages.session import SignedIn, SignedInPerson, find_signed_in

router = APIRouter(include_in_schema=False)

_LOOK_EVERY_S, _SAY_EVERY_S = 2.0, 15.0
_STREAM_FOR_S = 600.0  # then the browser connects again
CHECK_SESSION_S = (
    20.0  # a stream goes on for at most so long after its session was ended or its person sees other customers
)


@router.get("/live")
async def stream_live(request: Request, context: Context, who: SignedInPerson) -> StreamingResponse:
    """Say at once, at each change, and every 15 seconds that the page is up to date."""
    streams_of(request, context).check(who.id)
    headers = {"X-Accel-Buffering": "no"}  # a proxy that collects the stream would make it worthless
    return StreamingResponse(_events(request, context, who), media_type="text/event-stream", headers=headers)


async def _events(request: Request, context: AppContext, who: SignedIn) -> AsyncIterator[str]:
    with streams_of(request, context).opened(who.id, who.customers) as state:
        clock = asyncio.get_running_loop().time
        until, sent_at = clock() + _STREAM_FOR_S, float("-inf")
        sent: tuple[str, int] | None = None
        checked_at = clock()
        yield "retry: 5000\n\n"
        while clock() < until and not request.app.state.is_stopping():
            if clock() - checked_at >= CHECK_SESSION_S:
                checked_at = clock()
                if not await _may_still_listen(request, who):
                    return
            with suppress(TocsinError):  # without a word for a while the page says that it is not live
                found = await state.announced(), await state.unacknowledged()
                if found != sent or clock() - sent_at >= _SAY_EVERY_S:
                    sent, sent_at = found, clock()
                    yield f"event: badge\ndata: {found[1]}\n\nevent: state\ndata: {found[0]}\n\n"
            await asyncio.sleep(_LOOK_EVERY_S)


async def _may_still_listen(request: Request, who: SignedIn) -> bool:
    """Say whether the session still stands and its person sees the same customers. An open page is no use of the session."""
    try:
        now = await find_signed_in(request, is_use=False)
    except TocsinError:  # the database cannot be read: the page says by itself that it is not live
        return True
    return now is not None and now.customers == who.customers
