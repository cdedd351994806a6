"""ntfy's paths: `/in/ntfy/<key>[/<topic>]`, `/ntfy` for clients that log in, and `/<topic>`, as on a server of its own."""

import re
import time
import uuid
from base64 import urlsafe_b64decode
from collections.abc import Sequence

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.routing import Route

from app.core.errors import NotAllowed
from app.http.auth import Caller
from app.http.tools.receive import Tool, authenticate, header_key, key_in, path_parts, store_report
from app.intake.dialects import ntfy

TOOL = Tool(ntfy.TOOL, ntfy.read)
_KEPT_S = 12 * 3600  # as ntfy.sh keeps messages
_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")
_REFUSED = {
    "code": 40101,
    "http": 401,
    "error": "unauthorized",
    "link": "https://ntfy.sh/docs/publish/#authentication",
}


class _Topic(Convertor[str]):
    """A topic at the root: shorter than a key can be there, and none of our own pages."""

    regex = "(?!(?:docs|healthz|metrics|readyz)(?![-_A-Za-z0-9]))[-_A-Za-z0-9]{1,19}"

    def convert(self, value: str) -> str:
        """Return it unchanged."""
        return value

    def to_string(self, value: str) -> str:
        """Return it unchanged."""
        return value


register_url_convertor("topic", _Topic())


async def receive_message(request: Request) -> Response:
    """Store one message. A key in the path is tried before one in a header, which may be for another server."""
    parts = path_parts(request, "/in/ntfy", "/ntfy")
    try:
        caller, path = await _authenticate(request, parts)
    except NotAllowed:
        return JSONResponse(_REFUSED, 401, {"WWW-Authenticate": "Basic"})
    await store_report(request, TOOL, caller, path)
    return _published(path)


async def receive_message_at_root(request: Request) -> Response:
    """Store one message where ntfy itself has its topics. Without a login, these paths answer 404."""
    path, key = path_parts(request), _login_key(request)
    if not key or (request.method in ("GET", "HEAD") and len(path) == 1):
        raise HTTPException(404)
    try:
        caller = await authenticate(request, key)
    except NotAllowed:
        return JSONResponse(_REFUSED, 401, {"WWW-Authenticate": "Basic"})
    await store_report(request, TOOL, caller, path)
    return _published(path)


async def _authenticate(request: Request, parts: Sequence[str]) -> tuple[Caller, Sequence[str]]:
    """Return the holder of the key, and the path after it. Raises NotAllowed."""
    login_key = _login_key(request)
    if parts:
        try:
            return await authenticate(request, parts[0]), parts[1:]
        except NotAllowed:
            if not login_key:
                raise
    return await authenticate(request, login_key), parts


def _login_key(request: Request) -> str:
    """Return the key in the headers or in `?auth=`, which is an `Authorization` header in base64."""
    key = header_key(request)
    packed = request.query_params.get("auth", "")
    if key or not packed:
        return key
    try:
        return key_in(urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode())
    except ValueError:
        return ""


def _published(path: Sequence[str]) -> Response:
    """Answer as ntfy does. The message is left out: repeating it would let anybody make this host show a text of theirs."""
    topic = next((part for part in path if _TOPIC.fullmatch(part)), "")
    now = int(time.time())
    return JSONResponse(
        {
            "id": uuid.uuid4().hex[:12],
            "time": now,
            "expires": now + _KEPT_S,
            "event": "message",
            "topic": topic,
            "message": "",
        }
    )


ROUTES = [
    Route(path, receive_message, methods=["GET", "POST", "PUT"])
    for path in ("/in/ntfy", "/in/ntfy/{rest:path}", "/ntfy", "/ntfy/{rest:path}")
]
ROUTES_AT_ROOT = [
    Route("/", receive_message_at_root, methods=["POST", "PUT"]),
    Route("/{topic:topic}", receive_message_at_root, methods=["GET", "POST", "PUT"]),
    *(
        Route(f"/{{topic:topic}}/{action}", receive_message_at_root, methods=["GET"])
        for action in ("publish", "send", "trigger")
    ),
]
