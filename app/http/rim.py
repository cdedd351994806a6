"""The rim of every request: a bound on its body, security headers on its answer, and the last catch, where a defect becomes a 500."""

from fastapi import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.log import log
from app.http.problems import problem

BODY_MOST = 1024 * 1024
_MOUNT_LONGEST = 10  # of the words that addresses begin with; a key is longer
_DOCS = "/docs"
_POLICY = b"content-security-policy"
_API_POLICY = b"default-src 'none'; frame-ancestors 'none'"
# Swagger's page starts itself by a script in the page, and makes pictures of data.
_DOCS_POLICY = (
    b"default-src 'none'; frame-ancestors 'none'; connect-src 'self'; img-src 'self' data:; "
    b"script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
)


class Rim:
    """ASGI middleware, outermost but for the framework's own. It bounds the bodies of the API; the lane and tools' endpoints count theirs."""

    def __init__(self, app: ASGIApp, *, over_tls: bool) -> None:
        self._app = app
        self._headers = security_headers(over_tls=over_tls)
        self._docs_headers = security_headers(over_tls=over_tls, policy=_DOCS_POLICY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False
        path: str = scope["path"]

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                ours = self._docs_headers if path.startswith(_DOCS) else self._headers
                given = message["headers"]
                said = {name for name, _ in given}
                message["headers"] = [*given, *(header for header in ours if header[0] not in said)]
            await send(message)

        try:
            bounded = _bounded(receive) if path.startswith("/v1/") else receive
            await self._app(scope, bounded, send_with_headers)
        except Exception:
            answer = defect(scope)
            if begun:
                raise  # the answer is half said: the connection has to break
            await answer(scope, receive, send_with_headers)


def security_headers(*, over_tls: bool, policy: bytes = _API_POLICY) -> list[tuple[bytes, bytes]]:
    """Give the headers that every answer has."""
    headers = [
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-store"),  # answers hold names of customers, and once a key
        (_POLICY, policy),
    ]
    return [*headers, (b"strict-transport-security", b"max-age=31536000")] if over_tls else headers


def defect(scope: Scope) -> Response:
    """Log the error under way, and give the answer for it. What went wrong is for the log only."""
    log.exception("a request failed by a defect of ours", method=scope["method"], path=_shown(scope["path"]))
    return problem(500, "defect", "something went wrong on our side; the log says what")


def _shown(path: str) -> str:
    """Give as much of an address as may be logged: those that tools use hold a key, some in the first place."""
    if path.startswith("/v1/"):
        return path
    first, _, _ = path[1:].partition("/")
    return f"/{first}/..." if len(first) <= _MOUNT_LONGEST else "/..."


def _bounded(receive: Receive) -> Receive:
    """Stop a body that is too large while it is read: the framework reads all of it before it asks for the key."""
    read = 0

    async def bounded() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > BODY_MOST:
            raise HTTPException(
                413, f"the body is larger than {BODY_MOST} bytes"
            )  # the framework lets only its own error pass
        return message

    return bounded
