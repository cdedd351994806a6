"""Cronhub's addresses: `/start/<key>`, `/finish/<key>`, `/fail/<key>`, and all four under `/in/cronhub`. Its `/ping/<key>` is Healthchecks' too.

Under `/in/cronhub/<key>` they may stand as they are at Cronhub, with the id of its monitor.
"""

from fastapi import APIRouter, Request, Response

from app.core.errors import NotAllowed
from app.http.tools.tool_auth import Tool, admit, hear_signal, parts_of
from app.intake.dialects import cronhub

_TOOL = Tool(cronhub.TOOL, cronhub.read)
_METHODS = ["GET", "HEAD", "POST"]

router = APIRouter(include_in_schema=False)


@router.api_route("/start/{rest:path}", methods=_METHODS)
@router.api_route("/finish/{rest:path}", methods=_METHODS)
@router.api_route("/fail/{rest:path}", methods=_METHODS)
@router.api_route("/in/cronhub/{rest:path}", methods=_METHODS)
async def take_signal(request: Request) -> Response:
    """Take one signal in."""
    parts = parts_of(request, "/in/cronhub" if request.url.path.startswith("/in/") else "")
    state, key, *rest = (*parts, "", "")[: max(2, len(parts))]
    if (
        state not in cronhub.STATES and key in cronhub.STATES
    ):  # /in/cronhub/<key> stands for Cronhub's own host, and the tool's address follows
        state, key = key, state
    try:
        caller = await admit(request, key)
    except NotAllowed:
        return Response("Not Found", 404, media_type="text/plain")
    await hear_signal(request, _TOOL, caller, [state, *rest])
    return Response("OK", media_type="text/plain")
