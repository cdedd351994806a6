"""Loki's push address for tools that can send their log there: `/in/loki/<key>/loki/api/v1/push`, answered 204 as Loki does."""

from fastapi import APIRouter, Request, Response

from app.core.errors import NotAllowed
from app.http.tools.tool_auth import Tool, admit, hear, key_of, parts_of
from app.intake.dialects import loki

MOUNT = "/in/loki"
_TOOL = Tool(loki.TOOL, loki.read)

router = APIRouter(include_in_schema=False)


@router.api_route("/loki/api/v1/push", methods=["POST"])
@router.api_route("/in/loki/{rest:path}", methods=["POST"])
async def take_push(request: Request) -> Response:
    """Take one push in. Without a key in its address, Loki's clients log in."""
    parts = parts_of(request, MOUNT) if request.url.path.startswith(MOUNT) else []
    try:
        caller = await admit(request, parts[0] if parts else key_of(request))
    except NotAllowed:
        return Response("no org id\n", 401, {"WWW-Authenticate": 'Basic realm="tocsin"'}, "text/plain")
    await hear(request, _TOOL, caller)
    return Response(status_code=204)
