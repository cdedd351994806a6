"""Finds the key of a tool that knows nothing of us, wherever the tool can put one, and hands the request to intake.

It reads nothing of what the tool sends. It must never log or repeat a key: here, keys are part of paths.
"""

from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from fastapi import Request

from app.core.errors import WrongScope
from app.domain.key import KeyKind
from app.http.auth import Caller, KeyAuthenticator, address_of
from app.intake.accept import Intake, IntakeResult
from app.intake.body import ToolBody, read_tool_body
from app.intake.dialects.tool_request import Dialect, ToolRequest

QUERY_MOST = 100
# Of a ping, the method says nothing, and the services that take pings look at none: `curl -T log` is a PUT.
ANY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH")
_NO_BODY = ToolBody()
_KINDS = frozenset({KeyKind.ENROL, KeyKind.AGENT})


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: its name, which its events have as the label `tool`, and the dialect that reads it."""

    name: str
    dialect: Dialect


async def authenticate(request: Request, key: str) -> Caller:
    """Return the holder of a key that may send events. Raises NotAllowed, WrongScope, NotLetIn, Unavailable."""
    authenticator: KeyAuthenticator = request.app.state.authenticator
    caller = await authenticator.admit(key, address_of(request.scope))
    if caller.kind not in _KINDS or caller.customer_id is None:
        raise WrongScope("this needs a key of kind agent or enrol")
    return caller


async def store_report(request: Request, tool: Tool, caller: Caller, path: Sequence[str] = ()) -> IntakeResult:
    """Store what a request reports. Raises TooLarge, Overloaded, Unavailable; a request that cannot be read becomes an event too."""
    message = tool_request(request, caller, path)
    return await _intake(request).accept_tool_request(tool.name, tool.dialect, message, request.receive, caller.sender)


async def store_signal(request: Request, tool: Tool, caller: Caller, path: Sequence[str] = ()) -> IntakeResult:
    """Store what a request's path reports, and its body as a log, cut if it is too long. Raises Overloaded, Unavailable."""
    message = tool_request(request, caller, path)
    return await _intake(request).accept_signal(tool.name, tool.dialect, message, request.receive, caller.sender)


async def read_body(request: Request) -> ToolBody:
    """Return the body, for a tool whose answer depends on it; `store_body` then stores it. Raises TooLarge."""
    limit: int = request.app.state.context.settings.batch_limit
    return await read_tool_body(request.receive, request.headers.get("content-encoding", ""), limit)


async def store_body(request: Request, tool: Tool, caller: Caller, body: ToolBody) -> IntakeResult:
    """Store what a request reports whose body was read before. Raises Overloaded, Unavailable."""
    message = tool_request(request, caller, (), body)
    return await _intake(request).accept_tool_request_with_body(tool.name, tool.dialect, message, caller.sender)


def path_parts(request: Request, *prefixes: str) -> list[str]:
    """Return the decoded parts of the path after the first prefix that it has. An encoded slash stays within its part."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    path = raw.partition(b"?")[0].decode("latin-1")
    path = path.removeprefix(next((prefix for prefix in prefixes if path.startswith(prefix)), ""))
    return [unquote(part, errors="replace") for part in path.split("/") if part]


def header_key(request: Request) -> str:
    """Return the key in `Authorization` (Bearer, or the password of Basic) or in another header that tools use; empty if none."""
    if found := key_in(request.headers.get("authorization", "")):
        return found
    return next((request.headers[header] for header in _KEY_HEADERS if header in request.headers), "")


def key_in(authorization: str) -> str:
    """Return the key in the value of an `Authorization` header; empty if it is neither Bearer nor Basic."""
    scheme, _, credentials = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return credentials.strip()
        case "basic":
            try:
                user, _, password = b64decode(credentials.strip()).decode().partition(":")
            except ValueError:
                return ""
            return password or user
        case _:
            return ""


def tool_request(request: Request, caller: Caller, path: Sequence[str], body: ToolBody = _NO_BODY) -> ToolRequest:
    """Return the request without its key; without its body while that is still to be read."""
    return ToolRequest(
        method=request.method,
        path=tuple(path),
        query=_query_of(request),
        headers={name: value for name, value in request.headers.items() if name not in _SECRET},
        body=body.data,
        is_cut=body.is_cut,
        job=caller.job,
    )


def _query_of(request: Request) -> list[tuple[str, str]]:
    """Return the query's parameters in their order, without those that contain a key."""
    query: bytes = request.scope.get("query_string", b"")
    text = query[: 64 * 1024].decode("latin-1").replace(";", "%3B")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=QUERY_MOST, errors="replace")
    except ValueError:  # more parameters than any tool sends
        pairs = parse_qsl("&".join(text.split("&")[:QUERY_MOST]), keep_blank_values=True, errors="replace")
    return [(name, value) for name, value in pairs if name not in _SECRET]


def _intake(request: Request) -> Intake:
    intake: Intake = request.app.state.intake
    return intake


_KEY_HEADERS = ("x-tocsin-key", "x-gotify-key", "x-apprise-config-id", "x-api-key")
_SECRET = frozenset({*_KEY_HEADERS, "authorization", "cookie", "token", "key", "auth"})
