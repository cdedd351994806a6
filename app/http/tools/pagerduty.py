"""PagerDuty's address for events, for tools that let it be changed: `/in/pagerduty/<key>`, answered 202 as PagerDuty does."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.core.errors import NotAllowed
from app.http.tools.tool_auth import Tool, admit, hear, parts_of
from app.intake.dialects import pagerduty

MOUNT = "/in/pagerduty"
_TOOL = Tool(pagerduty.TOOL, pagerduty.read)

router = APIRouter(include_in_schema=False)


@router.api_route("/in/pagerduty/{rest:path}", methods=["POST"])
async def take_event(request: Request) -> Response:
    """Take one event in."""
    key = (parts_of(request, MOUNT) or [""])[0]
    try:
        caller = await admit(request, key)
    except NotAllowed:
        return JSONResponse(
            {"status": "invalid event", "message": "Event object is invalid", "errors": ["the key"]}, 400
        )
    await hear(request, _TOOL, caller)
    return JSONResponse({"status": "success", "message": "Event processed", "dedup_key": "tocsin"}, 202)
