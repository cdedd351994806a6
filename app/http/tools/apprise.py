"""Apprise's notifications, where its `json://`, `xml://`, `form://` or `apprise://` send them: `/in/apprise/<key>`, `/notify/<key>`; answered 200."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.core.errors import NotAllowed
from app.http.tools.tool_auth import Tool, admit, hear, key_of, parts_of
from app.intake.dialects import apprise

MOUNTS = ("/in/apprise", "/notify")
_TOOL = Tool(apprise.TOOL, apprise.read)
_METHODS = ["GET", "POST", "PUT"]

router = APIRouter(include_in_schema=False)


@router.api_route("/in/apprise", methods=_METHODS)
@router.api_route("/in/apprise/{rest:path}", methods=_METHODS)
@router.api_route("/notify", methods=_METHODS)
@router.api_route("/notify/{rest:path}", methods=_METHODS)
async def take_message(request: Request) -> Response:
    """Take one message in."""
    mount = next(mount for mount in MOUNTS if request.url.path.startswith(mount))
    key, *path = parts_of(request, mount) or [key_of(request)]
    try:
        caller = await admit(request, key)
    except NotAllowed:
        return JSONResponse({"error": "no such key"}, 404)
    await hear(request, _TOOL, caller, path)
    return JSONResponse({"error": None})
