"""ntfy's addresses: `/in/ntfy/<key>[/<topic>]`, and for those that log in, `/ntfy` and, as a server of its own has them, `/<topic>`."""

import re
import time
import uuid
from base64 import urlsafe_b64decode
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException

from app.core.errors import NotAllowed
from app.http.auth import Caller
from app.http.tools.tool_auth import Tool, admit, hear, key_in, key_of, parts_of
from app.intake.dialects import ntfy

MOUNTS = ("/in/ntfy", "/ntfy")
_TOOL = Tool(ntfy.TOOL, ntfy.read)
_METHODS = ["GET", "POST", "PUT"]
_KEPT_S = 12 * 3600  # as ntfy says of its own
_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")
_REFUSED = {
    "code": 40101,
    "http": 401,
    "error": "unauthorized",
    "link": "https://ntfy.sh/docs/publish/#authentication",
}


class _Topic(Convertor[str]):
    """What can be a topic at the root: shorter than what can be a key there, and no page of ours."""

    regex = "(?!(?:docs|healthz|metrics|readyz)(?![-_A-Za-z0-9]))[-_A-Za-z0-9]{1,19}"

    def convert(self, value: str) -> str:
        """Take it as it is."""
        return value

    def to_string(self, value: str) -> str:
        """Take it as it is."""
        return value


register_url_convertor("topic", _Topic())
router, at_root = APIRouter(include_in_schema=False), APIRouter(include_in_schema=False)


@router.api_route("/in/ntfy", methods=_METHODS)
@router.api_route("/in/ntfy/{rest:path}", methods=_METHODS)
@router.api_route("/ntfy", methods=_METHODS)
@router.api_route("/ntfy/{rest:path}", methods=_METHODS)
async def take_message(request: Request) -> Response:
    """Take one message in. A key in the address goes before one in a header, which may be another server's."""
    mount = next(mount for mount in MOUNTS if request.url.path.startswith(mount))
    parts = parts_of(request, mount)
    given = _key(request)
    try:
        caller, path = await _admitted(request, parts, given)
    except NotAllowed:
        return JSONResponse(_REFUSED, 401, {"WWW-Authenticate": "Basic"})
    await hear(request, _TOOL, caller, path)
    return _published(path)


@at_root.api_route("/", methods=["POST", "PUT"])
@at_root.api_route("/{topic:topic}", methods=["GET", "POST", "PUT"])
@at_root.api_route("/{topic:topic}/publish", methods=["GET"])
@at_root.api_route("/{topic:topic}/send", methods=["GET"])
@at_root.api_route("/{topic:topic}/trigger", methods=["GET"])
async def take_message_at_root(request: Request) -> Response:
    """Take one message in where ntfy itself has it. Without a login there is nothing at these addresses."""
    path, key = parts_of(request), _key(request)
    if not key or (request.method in ("GET", "HEAD") and len(path) == 1):
        raise HTTPException(404)
    try:
        caller = await admit(request, key)
    except NotAllowed:
        return JSONResponse(_REFUSED, 401, {"WWW-Authenticate": "Basic"})
    await hear(request, _TOOL, caller, path)
    return _published(path)


async def _admitted(request: Request, parts: Sequence[str], given: str) -> tuple[Caller, Sequence[str]]:
    """Give who holds the key, and the path behind it. Raises NotAllowed."""
    if parts:
        try:
            return await admit(request, parts[0]), parts[1:]
        except NotAllowed:
            if not given:
                raise
    return await admit(request, given), parts


def _key(request: Request) -> str:
    """Give the key from the headers, or from `?auth=`, which is a packed `Authorization`."""
    found = key_of(request)
    packed = request.query_params.get("auth", "")
    if found or not packed:
        return found
    try:
        return key_in(urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode())
    except ValueError:
        return ""


def _published(path: Sequence[str]) -> Response:
    """Answer as ntfy does, without repeating what was said: it would be a mirror for whatever was sent."""
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
