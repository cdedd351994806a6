"""The door for tools that know nothing of us: finds the key wherever they can put one, and hands what they say to intake.

It must not read what is said, nor log or repeat a key: here keys are part of addresses.
"""

from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, unquote

from fastapi import Request

from app.core.errors import WrongScope
from app.domain.key import KeyKind
from app.http.auth import Caller, KeyAuthenticator
from app.intake.accept import Intake, IntakeResult
from app.intake.body import read_tool_body
from app.intake.dialects.tool_request import Dialect, ToolRequest
from app.intake.validate import Sender

QUERY_MOST = 100
_KINDS = frozenset({KeyKind.ENROL, KeyKind.AGENT})


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool by the name that its events carry as the label `tool`, and the dialect that reads it."""

    name: str
    dialect: Dialect


async def admit(request: Request, key: str) -> Caller:
    """Give who holds a key that may send events. Raises NotAllowed, WrongScope, Unavailable."""
    authenticator: KeyAuthenticator = request.app.state.authenticator
    caller = await authenticator.admit(key)
    if caller.kind not in _KINDS or caller.customer_id is None:
        raise WrongScope("this needs a key of kind agent or enrol")
    return caller


async def hear(request: Request, tool: Tool, caller: Caller, path: Sequence[str] = ()) -> IntakeResult:
    """Store what the request says. Raises TooLarge, Overloaded, Unavailable; whatever else it says becomes an event."""
    said = said_by(request, caller, path)
    return await _intake(request).accept_tool_request(tool.name, tool.dialect, said, request.receive, sender_of(caller))


async def hear_signal(request: Request, tool: Tool, caller: Caller, path: Sequence[str] = ()) -> IntakeResult:
    """Store what the request's address says, and its body as a log, cut where it is too long. Raises Overloaded, Unavailable."""
    said = said_by(request, caller, path)
    return await _intake(request).accept_signal(tool.name, tool.dialect, said, request.receive, sender_of(caller))


async def read(request: Request) -> bytes:
    """Give the body, for a tool whose answer depends on it; `take` then stores it. Raises TooLarge, MalformedBody."""
    limit: int = request.app.state.context.settings.batch_limit
    return await read_tool_body(request.receive, request.headers.get("content-encoding", ""), limit)


async def take(request: Request, tool: Tool, caller: Caller, path: Sequence[str], body: bytes) -> IntakeResult:
    """Store what the request said, its body read before. Raises Overloaded, Unavailable."""
    said = replace(said_by(request, caller, path), body=body)
    return await _intake(request).accept_tool_request_with_body(tool.name, tool.dialect, said, sender_of(caller))


def said_by(request: Request, caller: Caller, path: Sequence[str] = ()) -> ToolRequest:
    """Give what the request says, without its key and without its body, which is still to be read."""
    return ToolRequest(
        method=request.method,
        path=tuple(path),
        query=query_of(request),
        headers={name: value for name, value in request.headers.items() if name not in _SECRET},
        job=caller.job,
    )


def sender_of(caller: Caller) -> Sender:
    """Give whose events they are."""
    return Sender(caller.customer_id or "", caller.agent_id, caller.agent_name)


def _intake(request: Request) -> Intake:
    intake: Intake = request.app.state.intake
    return intake


def parts_of(request: Request, mount: str = "") -> list[str]:
    """Give the decoded parts of the address behind `mount`. An encoded slash stays within its part, and divides nothing."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    path = raw.partition(b"?")[0].decode("latin-1").removeprefix(mount)
    return [unquote(part, errors="replace") for part in path.split("/") if part]


def query_of(request: Request) -> list[tuple[str, str]]:
    """Give the query's parameters in their order, without those that hold a key."""
    query: bytes = request.scope.get("query_string", b"")
    text = query[: 64 * 1024].decode("latin-1").replace(";", "%3B")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=QUERY_MOST, errors="replace")
    except ValueError:  # more than anybody means
        pairs = parse_qsl("&".join(text.split("&")[:QUERY_MOST]), keep_blank_values=True, errors="replace")
    return [(name, value) for name, value in pairs if name not in _SECRET]


def key_of(request: Request, *, query: str | None = None) -> str:
    """Give the key from `Authorization` (Bearer, or a password of Basic), from the usual headers, or from a query parameter."""
    if found := key_in(request.headers.get("authorization", "")):
        return found
    for header in _HEADERS:
        if header in request.headers:
            return request.headers[header]
    return request.query_params.get(query, "") if query else ""


def key_in(authorization: str) -> str:
    """Give the key from what stands in `Authorization`; nothing if that is neither Bearer nor Basic."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    return _password(given.strip()) if scheme.lower() == "basic" else ""


def _password(given: str) -> str:
    try:
        user, _, password = b64decode(given).decode().partition(":")
    except ValueError:
        return ""
    return password or user


_HEADERS = ("x-tocsin-key", "x-gotify-key", "x-apprise-config-id", "x-api-key")
_SECRET = frozenset({*_HEADERS, "authorization", "cookie", "token", "key", "auth"})
