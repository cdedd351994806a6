"""GET /openapi.json: the schema of the API, rendered once for each process.

It needs no key, so whoever asks for it must not cost more than the sending: rendering it takes 10 ms of the event loop each time, and
more than half a second at first.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.routing import Route
from starlette.status import HTTP_304_NOT_MODIFIED

# Sent in pieces, each after the client took the one before: whole, each client that reads nothing would hold a copy.
_PIECE: Final = 32 * 1024


class PublishedSchema:
    """The rendered schema of one app."""

    def __init__(self, api: FastAPI) -> None:
        self._api = api
        self._rendering = asyncio.Lock()
        self._bytes, self._etag = b"", ""

    def route(self, path: str) -> Route:
        """Return the route by which it is served."""
        return Route(path, self._answer, include_in_schema=False)

    async def _answer(self, request: Request) -> Response:
        async with self._rendering:
            if not self._bytes:
                # In a thread: the loop, which takes reports meanwhile, gets its turn every few milliseconds.
                self._bytes, self._etag = await asyncio.to_thread(self._render)
        headers = {"ETag": self._etag, "Cache-Control": "no-cache"}  # kept by browsers, and asked for each time
        if request.headers.get("if-none-match") == self._etag:
            return Response(status_code=HTTP_304_NOT_MODIFIED, headers=headers)
        headers["Content-Length"] = str(len(self._bytes))
        return StreamingResponse(self._pieces(), media_type="application/json", headers=headers)

    def _render(self) -> tuple[bytes, str]:
        rendered = json.dumps(self._api.openapi(), ensure_ascii=False, separators=(",", ":")).encode()
        return rendered, f'"{hashlib.sha256(rendered).hexdigest()[:32]}"'

    async def _pieces(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._bytes), _PIECE):
            yield self._bytes[start : start + _PIECE]
