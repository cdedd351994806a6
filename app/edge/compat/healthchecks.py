"""Healthchecks' ping addresses: `/ping/<key>[/<slug>][/<signal>]` in any method, answered as Healthchecks answers.

Its clients look at status and body: 200 `OK`, 404 `not found`, 400 for a signal that is none.
"""

import re

from fastapi import APIRouter, Request, Response

from app.base.errors import NotAllowed
from app.edge.compat.door import Tool, admit, hear, parts_of
from app.intake.dialects import healthchecks

MOUNTS = ("/ping", "/in/healthchecks")
_TOOL = Tool(healthchecks.TOOL, healthchecks.read)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

router = APIRouter(include_in_schema=False)


@router.api_route("/ping/{rest:path}", methods=["GET", "HEAD", "POST"])
@router.api_route("/in/healthchecks/{rest:path}", methods=["GET", "HEAD", "POST"])
async def take_signal(request: Request) -> Response:
    """Take one signal in."""
    mount = next(mount for mount in MOUNTS if request.url.path.startswith(mount + "/"))
    key, *path = parts_of(request, mount) or [""]
    try:
        caller = await admit(request, key)
    except NotAllowed:
        return _say(404, "not found")
    signal = healthchecks.split(path, has_slug=caller.job is None)[1]
    if signal.lstrip("-").isdecimal() and not 0 <= int(signal[:5]) <= healthchecks.EXIT_MOST:
        return _say(400, "invalid url format")
    rid = request.query_params.get("rid")
    if rid is not None and not _UUID.fullmatch(rid.lower()):
        return _say(400, "invalid uuid format")
    await hear(request, _TOOL, caller, path)
    return _say(200, "OK", **{"Ping-Body-Limit": str(request.app.state.house.settings.log_limit)})


def _say(status: int, text: str, **headers: str) -> Response:
    return Response(text, status, {"Access-Control-Allow-Origin": "*", **headers}, "text/plain")
