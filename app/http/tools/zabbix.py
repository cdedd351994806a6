"""Zabbix's JSON-RPC, to which a backup pushes a value at its end: `/in/zabbix/<key>`, or the key as Zabbix's API token."""

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.routing import Route

from app.core.errors import NotAllowed
from app.http.tools.receive import Tool, authenticate, header_key, path_parts, read_body, store_body
from app.intake.dialects import zabbix
from app.intake.dialects.body_fields import parse_json_object
from app.intake.dialects.text_decoding import decode_text

TOOL = Tool(zabbix.TOOL, zabbix.read)
_PAGE = "api_jsonrpc.php"
_SESSION = "0" * 32  # with a key in the path nobody needs a session


async def receive_call(request: Request) -> Response:
    """Store one call, and answer as Zabbix answers its method."""
    parts = path_parts(request, "/in/zabbix")
    key = parts[0] if parts and parts[0] != _PAGE else header_key(request)
    try:
        caller = await authenticate(request, key)
    except NotAllowed:
        error = {"code": -32602, "message": "Invalid params.", "data": "Not authorized."}
        return JSONResponse({"jsonrpc": "2.0", "error": error, "id": 1}, 401)
    body = await read_body(request)
    await store_body(request, TOOL, caller, body)
    call = parse_json_object(decode_text(body.data))
    result: object
    match call.get("method"):
        case "user.login":
            result = _SESSION
        case "history.push":
            result = {"response": "success", "data": [{"itemid": "1"}]}
        case _:
            result = True
    call_id = call.get("id")
    return JSONResponse({"jsonrpc": "2.0", "result": result, "id": call_id if isinstance(call_id, int) else 1})


ROUTES = [Route("/in/zabbix/{rest:path}", receive_call, methods=["POST"])]
