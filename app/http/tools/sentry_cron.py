"""Sentry's addresses for cron check-ins: `/api/<project>/cron/<monitor>/<key>/`, which its clients make of `http://<key>@host/<project>`."""

from fastapi import APIRouter, Request, Response

from app.core.errors import NotAllowed
from app.http.tools.tool_auth import Tool, admit, hear_signal, parts_of
from app.intake.dialects import sentry_cron

_TOOL = Tool(sentry_cron.TOOL, sentry_cron.read)
_MONITOR = 3  # its place in the address

router = APIRouter(include_in_schema=False)


@router.api_route("/api/{project}/cron/{monitor}/{key}", methods=["GET", "POST", "PUT"])
@router.api_route("/api/{project}/cron/{monitor}/{key}/", methods=["GET", "POST", "PUT"])
async def take_check_in(request: Request) -> Response:
    """Take one check-in."""
    try:
        caller = await admit(request, request.path_params["key"])
    except NotAllowed:
        return Response('{"detail":"project not found"}', 404, media_type="application/json")
    await hear_signal(request, _TOOL, caller, [parts_of(request)[_MONITOR]])
    return Response("{}", 202, media_type="application/json")
