"""Cronitor's addresses: `/p/<key>/<monitor>?state=run`, `/in/cronitor/<key>/run`; all are answered `OK`."""

from fastapi import APIRouter, Request, Response

from app.core.errors import NotAllowed
from app.http.tools.tool_auth import Tool, admit, hear_signal, parts_of
from app.intake.dialects import cronitor

_TOOL = Tool(cronitor.TOOL, cronitor.read)
_METHODS = ["GET", "HEAD", "POST"]

router = APIRouter(include_in_schema=False)


@router.api_route("/p/{rest:path}", methods=_METHODS)
@router.api_route("/in/cronitor/{rest:path}", methods=_METHODS)
async def take_signal(request: Request) -> Response:
    """Take one signal in."""
    parts = parts_of(request, "/in/cronitor" if request.url.path.startswith("/in/") else "")
    key, *path = (parts[1:] if parts[:1] == ["p"] else parts) or [""]
    try:
        caller = await admit(request, key)
    except NotAllowed:
        return Response("Not Found", 404, media_type="text/plain")
    await hear_signal(request, _TOOL, caller, path)
    return Response("OK", media_type="text/plain")
