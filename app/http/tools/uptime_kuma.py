"""Uptime Kuma's push address: `/api/push/<key>`, in any method, answered as Kuma answers: some clients compare the bytes."""

from fastapi import APIRouter, Request, Response

from app.core.errors import NotAllowed
from app.http.tools.tool_auth import Tool, admit, hear_signal, parts_of
from app.intake.dialects import uptime_kuma

MOUNTS = ("/api/push", "/in/uptime-kuma")
_TOOL = Tool(uptime_kuma.TOOL, uptime_kuma.read)
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

router = APIRouter(include_in_schema=False)


@router.api_route("/api/push/{rest:path}", methods=_METHODS)
@router.api_route("/in/uptime-kuma/{rest:path}", methods=_METHODS)
async def take_push(request: Request) -> Response:
    """Take one push in."""
    mount = next(mount for mount in MOUNTS if request.url.path.startswith(mount + "/"))
    key, *path = parts_of(request, mount) or [""]
    try:
        caller = await admit(request, key)
    except NotAllowed:
        return _say(404, b'{"ok":false,"msg":"Monitor not found or not active."}')
    await hear_signal(request, _TOOL, caller, path)
    return _say(200, b'{"ok":true}')


def _say(status: int, body: bytes) -> Response:
    return Response(body, status, {"Access-Control-Allow-Origin": "*"}, "application/json")
