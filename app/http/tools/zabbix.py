"""Zabbix's JSON-RPC for those who push a value at the end of a backup: `/in/zabbix/<key>`, or the key as Zabbix's API token."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.core.errors import NotAllowed
from app.http.tools.tool_auth import Tool, admit, key_of, parts_of, read, take
from app.intake.dialects import zabbix
from app.intake.dialects.body_fields import parse_json_object
from app.intake.dialects.text_decoding import decode_text

MOUNT, _PAGE = "/in/zabbix", "api_jsonrpc.php"
_TOOL = Tool(zabbix.TOOL, zabbix.read)
_SESSION = "0" * 32  # who has an address with a key in it needs no session

router = APIRouter(include_in_schema=False)


@router.api_route("/in/zabbix/{rest:path}", methods=["POST"])
async def take_call(request: Request) -> Response:
    """Take one call in."""
    parts = parts_of(request, MOUNT)
    key = parts[0] if parts and parts[0] != _PAGE else key_of(request)
    try:
        caller = await admit(request, key)
    except NotAllowed:
        return JSONResponse(
            _answer({}, error={"code": -32602, "message": "Invalid params.", "data": "Not authorized."}), 401
        )
    body = await read(request)
    await take(request, _TOOL, caller, (), body)
    call = parse_json_object(decode_text(body))
    return JSONResponse(_answer(call, result=_result(call)))


def _result(call: Mapping[str, Any]) -> object:
    match call.get("method"):
        case "user.login":
            return _SESSION
        case "history.push":
            return {"response": "success", "data": [{"itemid": "1"}]}
        case _:
            return True


def _answer(call: Mapping[str, Any], **what: object) -> dict[str, object]:
    given = call.get("id")
    return {"jsonrpc": "2.0", **what, "id": given if isinstance(given, int) else 1}
