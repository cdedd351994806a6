"""CloudEvents at `/in/cloudevents/<key>`, or with the key in `Authorization`, after the handshake of the standard's webhooks.

An invalid event is answered 400, as the standard demands; it is stored as unclear all the same.
"""

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.routing import Route

from app.core.errors import NotAllowed
from app.http.tools.receive import Tool, authenticate, header_key, path_parts, store_report
from app.intake.dialects import cloudevents

TOOL = Tool(cloudevents.TOOL, cloudevents.read)
_ALLOW = {"Allow": "OPTIONS, POST"}


async def answer_handshake(request: Request) -> Response:
    """Allow the sender to send, at any rate. Source: the CloudEvents specification, http-webhook.md, section 4."""
    origin = request.headers.get("webhook-request-origin")
    if origin is None:
        return Response(status_code=204, headers=_ALLOW)
    return Response(status_code=200, headers={**_ALLOW, "WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})


async def receive_events(request: Request) -> Response:
    """Store one event, or a batch."""
    parts = path_parts(request, "/in/cloudevents")
    try:
        caller = await authenticate(request, parts[0] if parts else header_key(request))
    except NotAllowed:
        return JSONResponse({"ok": False, "error": "no such key"}, 401, {"WWW-Authenticate": "Bearer"})
    result = await store_report(request, TOOL, caller)
    if result.unreadable is not None:
        return JSONResponse({"ok": False, "error": result.unreadable}, 400)
    return JSONResponse({"ok": True, "accepted": result.accepted, "duplicates": result.duplicates})


ROUTES = [
    Route(path, endpoint, methods=[method])
    for method, endpoint in (("OPTIONS", answer_handshake), ("POST", receive_events))
    for path in ("/in/cloudevents", "/in/cloudevents/{rest:path}")
]
