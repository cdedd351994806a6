"""The one middleware of the HTTP process: a bound on request bodies, security headers on every answer, and the last catch for errors."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Collection
from functools import lru_cache

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.log import log
from app.http.problems import answer, is_expected, response_for
from app.http.whole_answer import SEND_WHOLE, SendWhole, SharedAnswer, encode_whole
from app.intake.body import READ_TIMEOUT_S

BODY_LIMIT = 1024 * 1024  # bytes, of a request to the API
_DOCS = "/docs"
_POLICY = b"content-security-policy"
_API_POLICY = b"default-src 'none'; frame-ancestors 'none'"
# Swagger UI starts by an inline script and shows pictures from data: URLs.
_DOCS_POLICY = (
    b"default-src 'none'; frame-ancestors 'none'; connect-src 'self'; img-src 'self' data:; "
    b"script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
)
_NAMES = frozenset(
    {
        b"x-content-type-options",
        b"x-frame-options",
        b"referrer-policy",
        b"cache-control",
        _POLICY,
        b"strict-transport-security",
    }
)
_Headers = list[tuple[bytes, bytes]]


class SafetyMiddleware:
    """ASGI middleware around everything that answers HTTP.

    - Takes what came of a tool's body before anything else.
    - Bounds the bodies of requests to the API (`/v1/...`), except to paths in `own_limits`, whose handlers count bytes
      themselves. Endpoints of tools (outside of `/v1/`) count them too: their limits are settings.
    - Adds the security headers that an answer does not set itself.
    - Answers an error that nobody handled: one of our own as its problem, any other as 500 `defect`, with the cause in the log.
    """

    def __init__(self, app: ASGIApp, *, over_tls: bool, own_limits: Collection[str] = ()) -> None:
        self._app = app
        self._own_limits = frozenset(own_limits)
        self._headers = _security_headers(over_tls=over_tls, policy=_API_POLICY)
        self._encode = lru_cache(1000)(self._encode_whole)
        self._docs_headers = _security_headers(over_tls=over_tls, policy=_DOCS_POLICY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        is_started = is_complete = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_started, is_complete
            if message["type"] == "http.response.start":
                is_started = True
                ours = self._docs_headers if path.startswith(_DOCS) else self._headers
                message["headers"] = _merge(message["headers"], ours)
            elif not message.get("more_body", False):
                is_complete = True
            await send(message)

        body = await self._bounded(path, scope["headers"], receive)
        try:
            await self._app(scope, body, send_with_headers)
        except Exception as error:
            _log_bug(scope, error)
            if not is_started:
                response = await answer(Request(scope), error) if "app" in scope else response_for(error)
                await response(scope, receive, send_with_headers)
            elif not is_complete:
                raise  # half of the answer is sent: only a broken connection tells the client so
            # Otherwise FastAPI has answered 500 itself, and raised the error again for this catch to log.

    async def serve_whole(self, work: Awaitable[Response], scope: Scope, send: Send) -> None:
        """Do for one answer that is not streamed what `__call__` does for all, for an endpoint that bounds its body itself.

        It needs no wrapped `send`: so a POST of an event takes five coroutines fewer.
        """
        try:
            response = await work
        except Exception as error:  # noqa: BLE001  (the last catch)
            _log_bug(scope, error)
            response = response_for(error)
        if isinstance(response, SharedAnswer) and "extensions" in scope:
            send_whole: SendWhole | None = scope["extensions"].get(SEND_WHOLE)
            if send_whole is not None and send_whole(response.status_code, self._encode(response)):
                return
        headers = _merge(response.raw_headers, self._headers)
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    def _encode_whole(self, response: SharedAnswer) -> bytes:
        return encode_whole(_merge(response.raw_headers, self._headers), bytes(response.body))

    async def _bounded(self, path: str, headers: _Headers, receive: Receive) -> Receive:
        if path.startswith("/v1/"):
            return receive if path in self._own_limits else _limit_body(receive)
        return await _first_at_once(receive) if _has_body(headers) else receive


def _log_bug(scope: Scope, error: Exception) -> None:
    """Log an error that is no answer to the client."""
    if not is_expected(error):
        name = {"request": scope["error_id"]} if "error_id" in scope else {}  # what the page for it shows
        log.exception(
            "a request failed because of a bug", method=scope["method"], path=_loggable(scope["path"]), **name
        )


def _merge(headers: _Headers, ours: _Headers) -> _Headers:
    for name, _ in headers:
        if name in _NAMES:
            present = {name for name, _ in headers}
            return headers + [header for header in ours if header[0] not in present]
    return headers + ours


def _security_headers(*, over_tls: bool, policy: bytes) -> _Headers:
    headers = [
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-store"),  # answers contain names of customers, and in one case a key
        (_POLICY, policy),
    ]
    return [*headers, (b"strict-transport-security", b"max-age=31536000")] if over_tls else headers


def _loggable(path: str) -> str:
    """Return as much of a path as may be logged: paths that tools use contain a key, some as their first segment."""
    if path.startswith("/v1/"):
        return "/v1/calendar/..." if path.startswith("/v1/calendar/") else path  # what follows is a token
    first, _, _ = path[1:].partition("/")
    longest_word = 10  # of the first segments that are ours; a key is longer
    return f"/{first}/..." if len(first) <= longest_word else "/..."


def _has_body(headers: _Headers) -> bool:
    names = {name for name, _ in headers}
    return b"expect" not in names and not names.isdisjoint((b"content-length", b"transfer-encoding"))


async def _first_at_once(receive: Receive) -> Receive:
    """Return `receive` with a first message that was taken before anything else was awaited.

    If a body ends with a chunk that is none, uvicorn closes the connection at once, and a part that nobody took by then is lost:
    it can be the report of a failure. Looking up the key of a sender takes longer than that. A body that does not begin in time
    counts as one that broke off: the address alone can hold the report.
    """
    first: Message = {"type": "http.disconnect"}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READ_TIMEOUT_S):
            first = await receive()
    taken = False

    async def receive_first() -> Message:
        nonlocal taken
        if taken:
            return await receive()
        taken = True
        return first

    return receive_first


def _limit_body(receive: Receive) -> Receive:
    """Stop a body that is too large or too slow while it is read: FastAPI reads all of it before it checks the key."""
    size, is_whole = 0, False
    until = time.monotonic() + READ_TIMEOUT_S

    async def limited() -> Message:
        nonlocal size, is_whole
        if is_whole:  # only the end of the connection can follow
            return await receive()
        try:
            async with asyncio.timeout(until - time.monotonic()):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"the body did not arrive within {READ_TIMEOUT_S:.0f} s") from None
        size += len(message.get("body", b""))
        is_whole = not message.get("more_body", False)
        if size > BODY_LIMIT:
            # FastAPI turns any other error while it reads a body into a 400.
            raise HTTPException(413, f"the body is larger than {BODY_LIMIT} bytes")
        return message

    return limited
