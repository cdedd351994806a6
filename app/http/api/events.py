"""POST /v1/events: where agents report. It only finds the sender; `intake` reads, checks and stores the events.

HttpApp calls `answer` directly: FastAPI's layers cost more than reading, checking and storing an event. The route below describes
the operation in the published schema.
"""

from functools import lru_cache
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, TypeAdapter
from pydantic_core import to_json
from starlette.types import Receive, Scope

from app.domain.enrolment import EnrolmentRule
from app.domain.key import KeyKind
from app.http.auth import SECURITY, KeyAuthenticator, address_of, key_in, require_kind
from app.http.problems import problem
from app.http.whole_answer import SharedAnswer
from app.intake.accept import Intake
from app.intake.body import BodyHeaders
from app.intake.parse import EVENT_EXAMPLE, WireEvent
from programs.protocol import report as protocol

SHOWN_MOST = protocol.REFUSED_SHOWN
PATH = protocol.EVENTS
_KINDS = frozenset({KeyKind.ENROL, KeyKind.AGENT})
_HEADERS = (b"authorization", b"x-tocsin-key", b"content-type", b"content-encoding", b"content-length")
_NOT_LET_IN = frozenset(EnrolmentRule)


class RejectedEventOut(BaseModel):
    """An event that was not stored, and why."""

    index: int = Field(description="Its place in the request, from 0; blank lines do not count.")
    code: str = Field(description="The reason, stable and meant for programs.", examples=["outcome_is_ours"])
    detail: str = Field(description="The reason in words.")


class EventsResult(BaseModel):
    """What became of the events of a request. What is counted as accepted is committed."""

    accepted: int = Field(description="Events that were stored.")
    duplicates: int = Field(description="Events that were stored before, under the same `key`.")
    rejected: list[RejectedEventOut] = Field(description=f"Events that were refused; at most {SHOWN_MOST} are shown.")
    rejected_count: int | None = Field(None, description="How many were refused, if not all of them are shown.")


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def request_schemas() -> dict[str, Any]:
    """Return the named schemas of the request body, generated from the model that validates events."""
    return {
        "EventIn": TypeAdapter(WireEvent).json_schema(),
        "EventsIn": {
            "title": "EventsIn",
            "description": "One event, or an array of events.",
            "oneOf": [_ref("EventIn"), {"type": "array", "items": _ref("EventIn")}],
        },
        "EventLines": {
            "title": "EventLines",
            "type": "string",
            "description": "One event (`EventIn`) as JSON on each line; blank lines are ignored.",
        },
    }


_PROBLEM = {"application/problem+json": {"schema": _ref("Problem")}}
_PROBLEMS = {
    400: "The body cannot be read.",
    401: "There is no key, or it is unknown.",
    403: "The key is of a kind that may not report events, or its limits let in none of these agents; `code` names the limit.",
    413: "The body is too large, or has too many events.",
    415: "We do not read this media type or content encoding.",
    422: "No event is valid; `rejected` has the reasons.",
    429: "The key is beyond a budget, which `code` names. `rejected` has the events that were refused for now: send them again after "
    "`Retry-After` seconds. All others, such as failures, were committed; to send the whole request again does no harm if its events have keys.",
    503: "Not everything was stored, and of up to 1000 events nothing; send the request again after `Retry-After` seconds. "
    "Events with keys that were stored already then count as duplicates.",
}
_REQUEST: dict[str, Any] = {
    "security": SECURITY,
    "parameters": [
        {
            "name": "Content-Encoding",
            "in": "header",
            "required": False,
            "description": "How the body is compressed.",
            "schema": {"type": "string", "enum": ["gzip", "zstd", "identity"]},
        }
    ],
    "requestBody": {
        "required": True,
        "description": "One event, an array of events, or one event on each line.",
        "content": {
            "application/json": {"schema": _ref("EventsIn"), "example": EVENT_EXAMPLE},
            "application/x-ndjson": {"schema": _ref("EventLines"), "example": to_json(EVENT_EXAMPLE).decode() + "\n"},
        },
    },
}

router = APIRouter(tags=["events"])


@router.post(
    PATH,
    operation_id="post_events",
    summary="Report events",
    status_code=202,
    response_class=Response,
    responses={
        202: {"model": EventsResult, "description": "The events were committed, except for those in `rejected`."},
        **{status: {"description": text, "content": _PROBLEM} for status, text in _PROBLEMS.items()},
    },
    openapi_extra=_REQUEST,
)
async def post_events(request: Request) -> Response:
    """Store one event, an array of events, or one event on each line.

    The answer comes after the commit: what it counts as accepted cannot get lost. An event that is sent again under the same `key`
    counts once, so a sender that got no answer can repeat the request.
    """
    state = request.app.state
    return await answer(state.authenticator, state.intake, request.scope, request.receive)


async def answer(authenticator: KeyAuthenticator, intake: Intake, scope: Scope, receive: Receive) -> Response:
    """Store the events of a request, and answer it. Raises TocsinError."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    authorization, header, *of_body = [headers[name].decode("latin-1") if name in headers else "" for name in _HEADERS]
    key, address = key_in(authorization, header), address_of(scope)
    # As `admit_as` does, which takes two more coroutines.
    caller = authenticator.remembered(key, address) or await authenticator.look_up(key, address)
    require_kind(caller, _KINDS)
    result = await intake.accept_events(BodyHeaders(*of_body), receive, caller.sender)
    if not result.rejected and result.over_budget is None:
        return _all_accepted(result.accepted, result.duplicates)
    # A batch of thousands of bad events must not be answered by megabytes.
    shown: dict[str, Any] = {
        "rejected": [{"index": e.index, "code": e.code, "detail": e.detail} for e in result.rejected[:SHOWN_MOST]]
    }
    if len(result.rejected) > SHOWN_MOST:
        shown["rejected_count"] = len(result.rejected)
    over = result.over_budget
    if over is not None:
        stored = {"accepted": result.accepted, "duplicates": result.duplicates}
        wait = {"Retry-After": str(over.retry_after)}
        return problem(over.status, over.code, over.detail, headers=wait, **stored, **shown)
    if result.accepted + result.duplicates > 0:
        body = {"accepted": result.accepted, "duplicates": result.duplicates, **shown}
        return Response(to_json(body), 202, media_type="application/json")
    first = result.rejected[0]
    status = 403 if all(one.code in _NOT_LET_IN for one in result.rejected) else 422
    if len(result.rejected) == 1:
        return problem(status, first.code, first.detail, field=first.field, accepted=0, duplicates=0, **shown)
    detail = f"none of the {len(result.rejected)} events could be stored; the first: {first.detail}"
    return problem(status, "all_rejected", detail, accepted=0, duplicates=0, **shown)


@lru_cache(1000)
def _all_accepted(accepted: int, duplicates: int) -> SharedAnswer:
    """Return the usual answer."""
    body = b'{"accepted":%d,"duplicates":%d,"rejected":[]}' % (accepted, duplicates)
    return SharedAnswer(body, 202, media_type="application/json")
