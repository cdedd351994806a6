"""POST /v1/events: the door for agents. It reads no event itself; intake does."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json
from starlette.datastructures import State
from starlette.types import Receive

from app.core.errors import WrongScope
from app.domain.key import KeyKind
from app.http.api.events_schema import POST_EVENTS
from app.http.auth import Caller, KeyAuthenticator, key_in
from app.http.problems import problem
from app.intake.accept import Intake, Receipt
from app.intake.body import Head
from app.intake.shape import Sender
from programs.protocol import report as wire

SHOWN_MOST = wire.REFUSED_SHOWN
PATH = wire.EVENTS
_KINDS = frozenset({KeyKind.ENROL, KeyKind.AGENT})

router = APIRouter()


@router.post(PATH, status_code=202, response_class=Response, openapi_extra=POST_EVENTS, tags=["events"])
async def post_events(request: Request) -> Response:
    """Take events in: one, an array, or one a line. The answer comes after the commit: what it counts as accepted is safe.

    Send the same `key` again as often as needed: it counts once.
    """
    return await answer(request.app.state, request.scope["headers"], request.receive)


async def answer(shared: State, headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> Response:
    """Take events in. The way of every request: the route above only tells the framework, and the reader of its schema, of it."""
    authenticator: KeyAuthenticator = shared.authenticator
    intake: Intake = shared.intake
    found = dict(headers)

    def said(name: bytes) -> str:
        return found.get(name, b"").decode("latin-1")

    caller = await authenticator.admit_as(key_in(said(b"authorization"), said(b"x-tocsin-key")), _KINDS)
    head = Head(said(b"content-type"), said(b"content-encoding"), said(b"content-length"))
    return _answer(await intake.accept(head, receive, _sender(caller)))


def _sender(caller: Caller) -> Sender:
    if caller.customer_id is None:
        raise WrongScope("this key belongs to no customer, so its events would be nobody's")
    return Sender(caller.customer_id, caller.agent_id, caller.agent_name)


def _answer(receipt: Receipt) -> Response:
    if not receipt.rejected:
        return _all_taken(receipt.accepted, receipt.duplicates)
    shown = _shown(receipt)
    if receipt.accepted + receipt.duplicates > 0:
        body = {"accepted": receipt.accepted, "duplicates": receipt.duplicates, **shown}
        return Response(to_json(body), 202, media_type="application/json")
    first = receipt.rejected[0]
    if len(receipt.rejected) == 1:
        return problem(422, first.code, first.detail, field=first.field, accepted=0, duplicates=0, **shown)
    detail = f"none of the {len(receipt.rejected)} events could be taken; the first: {first.detail}"
    return problem(422, "all_rejected", detail, accepted=0, duplicates=0, **shown)


@lru_cache(1000)
def _all_taken(accepted: int, duplicates: int) -> Response:
    """Give the usual answer. It is made once and sent many times: nobody may change it."""
    body = b'{"accepted":%d,"duplicates":%d,"rejected":[]}' % (accepted, duplicates)
    return Response(body, 202, media_type="application/json")


def _shown(receipt: Receipt) -> dict[str, Any]:
    """A bounded list: a batch of thousands of bad events must not be answered by megabytes."""
    shown = [{"index": one.index, "code": one.code, "detail": one.detail} for one in receipt.rejected[:SHOWN_MOST]]
    cut = len(receipt.rejected) > SHOWN_MOST
    return {"rejected": shown} | ({"rejected_count": len(receipt.rejected)} if cut else {})
