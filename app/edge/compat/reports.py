"""Tools that post a report to an address of their own: `/in/<tool>/<key>`, any method, answered 200 whatever the report says."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.base.errors import NotAllowed
from app.edge.compat.door import Tool, admit, hear, key_of, parts_of
from app.intake.dialects import backrest, duplicati, kopia, proxmox

MOUNT = "/in"
_TOOLS = {tool.TOOL: Tool(tool.TOOL, tool.read) for tool in (backrest, duplicati, kopia, proxmox)}

router = APIRouter(include_in_schema=False)


async def take_report(request: Request) -> Response:
    """Take one report in."""
    name, *parts = parts_of(request, MOUNT)
    key, *path = parts or [key_of(request)]
    try:
        caller = await admit(request, key)
    except NotAllowed:
        return JSONResponse({"ok": False, "error": "no such key"}, 404)
    await hear(request, _TOOLS[name], caller, path)
    return JSONResponse({"ok": True})


for _name in _TOOLS:
    for _path in (f"/in/{_name}", f"/in/{_name}/{{rest:path}}"):
        router.add_api_route(_path, take_report, methods=["GET", "POST", "PUT", "PATCH"])
