"""Addresses for the output of programs that cannot report by themselves: `/in/<tool>/<key>`, answered 200 whatever the output says."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.base.errors import NotAllowed
from app.edge.compat.door import Tool, admit, hear_signal, key_of, parts_of
from app.intake.dialects import borg, restic

MOUNT = "/in"
_TOOLS = {tool.TOOL: Tool(tool.TOOL, tool.read) for tool in (borg, restic)}

router = APIRouter(include_in_schema=False)


async def take_output(request: Request) -> Response:
    """Take one output in. Of one that is too long head and tail are kept: the exit code stands in the address."""
    name, *parts = parts_of(request, MOUNT)
    key, *path = parts or [key_of(request)]
    try:
        caller = await admit(request, key)
    except NotAllowed:
        return JSONResponse({"ok": False, "error": "no such key"}, 404)
    await hear_signal(request, _TOOLS[name], caller, path)
    return JSONResponse({"ok": True})


for _name in _TOOLS:
    for _path in (f"/in/{_name}", f"/in/{_name}/{{rest:path}}"):
        router.add_api_route(_path, take_output, methods=["GET", "POST", "PUT"])
