"""Gotify's address for messages, `/message`, with the application's token where Gotify has it; answered as Gotify does."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.core.errors import NotAllowed
from app.http.tools.tool_auth import Tool, admit, hear, key_of, parts_of
from app.intake.dialects import gotify

_TOOL = Tool(gotify.TOOL, gotify.read)
_MOUNT = "/in/gotify"
_REFUSED = {
    "error": "Unauthorized",
    "errorCode": 401,
    "errorDescription": "you need to provide a valid access token or user credentials to access this api",
}

router = APIRouter(include_in_schema=False)


@router.post("/message")
@router.post("/gotify/message")
@router.post("/in/gotify/{rest:path}")
async def take_message(request: Request) -> Response:
    """Take one message in. `/in/gotify/<key>/message` is for a tool that has a field for the server only."""
    parts = parts_of(request, _MOUNT) if request.url.path.startswith(_MOUNT) else []
    key = next((part for part in parts if part != "message"), "")
    # Gotify's own before `Authorization`, which may be for a proxy on the way.
    key = key or request.query_params.get("token") or request.headers.get("x-gotify-key") or key_of(request)
    try:
        caller = await admit(request, key)
    except NotAllowed:
        return JSONResponse(_REFUSED, 401)
    await hear(request, _TOOL, caller)
    return JSONResponse(
        {
            "id": 1,
            "appid": 1,
            "message": "",  # nobody reads it; repeated, it would be a mirror for whatever was sent
            "title": "",
            "priority": 0,
            "date": datetime.now(UTC).isoformat(),
        }
    )
