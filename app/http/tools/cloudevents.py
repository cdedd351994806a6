"""The address for CloudEvents: `/in/cloudevents/<key>`, or the key in `Authorization`, with the handshake that the standard's webhooks begin with.

An event that is none is answered 400, for the standard has the sender told; it is stored as a warning all the same.
"""

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.core.errors import NotAllowed
from app.http.tools.tool_auth import Tool, admit, hear, key_of, parts_of
from app.intake.dialects import cloudevents
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

MOUNT = "/in/cloudevents"
_ALLOW = {"Allow": "OPTIONS, POST"}

router = APIRouter(include_in_schema=False)


@router.options("/in/cloudevents")
@router.options("/in/cloudevents/{rest:path}")
async def shake_hands(request: Request) -> Response:
    """Say that we want to be told, and as often as the sender likes. Source: the CloudEvents specification, http-webhook.md, 4."""
    origin = request.headers.get("webhook-request-origin")
    if origin is None:
        return Response(status_code=204, headers=_ALLOW)
    return Response(status_code=200, headers={**_ALLOW, "WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})


@router.post("/in/cloudevents")
@router.post("/in/cloudevents/{rest:path}")
async def take_events(request: Request) -> Response:
    """Take one event in, or a batch."""
    parts = parts_of(request, MOUNT)
    try:
        caller = await admit(request, parts[0] if parts else key_of(request))
    except NotAllowed:
        return JSONResponse({"ok": False, "error": "no such key"}, 401, {"WWW-Authenticate": "Bearer"})
    complaints: list[str] = []

    def attentive(said: ToolRequest) -> Sequence[WireEvent]:
        try:
            return cloudevents.read(said)
        except NotUnderstood as cause:
            complaints.append(str(cause))
            raise

    receipt = await hear(request, Tool(cloudevents.TOOL, attentive), caller)
    if complaints:
        return JSONResponse({"ok": False, "error": complaints[0]}, 400)
    return JSONResponse({"ok": True, "accepted": receipt.accepted, "duplicates": receipt.duplicates})
