"""Tools, and lines in scripts, that post to an address of their own: `/in/<tool>/<key>`, any method, answered 200 whatever they say."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.core.errors import NotAllowed
from app.http.tools.tool_auth import Tool, admit, hear, hear_signal, key_of, parts_of
from app.intake.dialects import alertmanager, backrest, borg, duplicati, kopia, proxmox, restic, resticprofile

MOUNT = "/in"
# Those whose address tells the main thing: their body is an output, and too long a one is cut.
_SIGNALS = (borg, restic, resticprofile)
_REPORTS = (alertmanager, backrest, duplicati, kopia, proxmox)
_HEARD = {
    **{tool.TOOL: (Tool(tool.TOOL, tool.read), hear_signal) for tool in _SIGNALS},
    **{tool.TOOL: (Tool(tool.TOOL, tool.read), hear) for tool in _REPORTS},
}

router = APIRouter(include_in_schema=False)


async def take_report(request: Request) -> Response:
    """Take one report in."""
    name, *parts = parts_of(request, MOUNT)
    key, *path = parts or [key_of(request)]
    try:
        caller = await admit(request, key)
    except NotAllowed:
        return JSONResponse({"ok": False, "error": "no such key"}, 404)
    tool, hears = _HEARD[name]
    await hears(request, tool, caller, path)
    return JSONResponse({"ok": True})


for _name in _HEARD:
    for _path in (f"/in/{_name}", f"/in/{_name}/{{rest:path}}"):
        router.add_api_route(_path, take_report, methods=["GET", "HEAD", "POST", "PUT", "PATCH"])
