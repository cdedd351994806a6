"""Pushover's address for messages, for tools that let it be changed: `/in/pushover/<key>`, answered as Pushover does."""

import uuid

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.core.errors import NotAllowed
from app.http.tools.tool_auth import Tool, admit, hear, parts_of
from app.intake.dialects import pushover

MOUNT = "/in/pushover"
_TOOL = Tool(pushover.TOOL, pushover.read)

router = APIRouter(include_in_schema=False)


@router.api_route("/in/pushover/{rest:path}", methods=["POST"])
async def take_message(request: Request) -> Response:
    """Take one message in."""
    key = (parts_of(request, MOUNT) or [""])[0]
    try:
        caller = await admit(request, key)
    except NotAllowed:
        return JSONResponse(
            {"status": 0, "request": str(uuid.uuid4()), "errors": ["application token is invalid"]}, 400
        )
    await hear(request, _TOOL, caller)
    return JSONResponse({"status": 1, "request": str(uuid.uuid4())})
