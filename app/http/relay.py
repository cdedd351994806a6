"""Where relays come to: they lease messages, say what became of them, and tell how they are. The shapes are in programs/protocol/relay.py.

Not in the published schema: its one client is our own, and both sides read by the same code.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from app.admin import relays
from app.context import AppContext
from app.core.errors import BadInput, NotAllowed, TooLarge
from app.deliver import relays as deliver_relays
from app.domain.key import KeyKind
from app.domain.lease import Claim, Leased
from app.domain.relay import Relay
from app.http.api.dependencies import Context
from app.http.auth import Caller, need
from programs.protocol import relay as wire
from programs.protocol.checked import BadShape
from programs.protocol.relay import ASKED_MOST, RelayHeartbeat, RelayInstructions

_LOOK_S = 0.5  # how often a waiting relay's messages are looked for where no bell of another process is heard

router = APIRouter(include_in_schema=False)


async def _body(request: Request) -> bytes:
    """Read the body. Raises TooLarge before it is kept whole."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > ASKED_MOST:
            raise TooLarge(f"the body is larger than {ASKED_MOST} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def _relay_id(caller: Annotated[Caller, Depends(need(KeyKind.RELAY))]) -> str:
    if caller.relay_id is None:
        raise NotAllowed("this key belongs to no relay")
    return caller.relay_id


Body = Annotated[bytes, Depends(_body)]
Who = Annotated[str, Depends(_relay_id)]


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except BadShape as wrong:
        raise BadInput(str(wrong), code="bad_shape", field=wrong.field) from wrong


@router.post(wire.LEASE)
async def lease(body: Body, request: Request, context: Context, relay_id: Who) -> JSONResponse:
    """Give messages as soon as there are any, and an empty list when the time is over."""
    with _reading():
        asked = wire.LeaseRequest.from_json(body)
    holding = {Claim(one.id, one.token) for one in asked.holding}
    until = asyncio.get_running_loop().time() + asked.wait_s
    relay, leased = await _take(context, relay_id, asked.most, holding)
    before = _wanted(relay)
    while not leased and await _is_worth_waiting(request, context, until):
        if (asked.most and await deliver_relays.has_due_messages(context, relay_id)) or await relays.has_news(
            context, relay_id, before
        ):
            relay, leased = await _take(context, relay_id, asked.most, holding)
            if not leased and _wanted(relay) != before:
                break
    return JSONResponse(wire.LeaseAnswer([_posted(one) for one in leased], _wanted(relay)).as_json())


async def _take(context: AppContext, relay_id: str, most: int, holding: set[Claim]) -> tuple[Relay, list[Leased]]:
    async with context.database.write() as tx:
        return await deliver_relays.take_leases(tx, relay_id, most, holding, context.clock())


async def _is_worth_waiting(request: Request, context: AppContext, until: float) -> bool:
    """Wait for a moment; false when the time is over, the relay has gone or the service stops."""
    left = until - asyncio.get_running_loop().time()
    if left <= 0 or request.app.state.is_stopping():
        return False
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(min(left, _LOOK_S)):
            await context.wakeups.for_relays.wait()
            context.wakeups.for_relays.clear()  # all that wait were woken by then
    return not await request.is_disconnected()


def _posted(one: Leased) -> wire.LeasedMail:
    return wire.LeasedMail(
        one.claim.message_id,
        one.claim.token,
        deliver_relays.LEASE_FOR.total_seconds(),
        one.parcel.address,
        one.parcel.message_id,
        one.parcel.body,
        one.is_alert,
        one.maybe_sent,
    )


def _wanted(relay: Relay) -> RelayInstructions:
    asked = relay.doctor_asked_at
    return RelayInstructions(relay.paused_at is not None, relay.paused_why or "", asked.isoformat() if asked else "")


@router.post(wire.BEGIN)
async def begin(body: Body, context: Context, relay_id: Who) -> JSONResponse:
    """Say which attempts may be made; they are on record then."""
    with _reading():
        claims = wire.LeaseClaims.from_json(body).claims
    async with context.database.write() as tx:
        begun = await deliver_relays.start_attempts(tx, relay_id, _ours(claims), context.clock())
    return JSONResponse(wire.LeaseClaims(_theirs(begun)).as_json())


@router.post(wire.RENEW)
async def renew(body: Body, context: Context, relay_id: Who) -> JSONResponse:
    """Prolong leases."""
    with _reading():
        claims = wire.LeaseClaims.from_json(body).claims
    async with context.database.write() as tx:
        await deliver_relays.find_relay(tx, relay_id)
        held = await deliver_relays.renew(tx, _ours(claims), context.clock())
    return JSONResponse(wire.LeaseClaims(_theirs(held)).as_json())


@router.post(wire.RECEIPTS)
async def receipts(body: Body, context: Context, relay_id: Who) -> JSONResponse:
    """Settle; each receipt in a transaction of its own, so that one cannot hold up the others."""
    with _reading():
        given = wire.RelayReceipts.from_json(body).receipts
    taken = []
    for one in given:
        async with context.database.write() as tx:
            what = await deliver_relays.take_receipt(tx, relay_id, one, context.clock())
            tx.after_commit(lambda: context.wakeups.wake("messages"))
        taken.append({"id": one.id, "token": one.token, "said": what.text, "is_final": what.is_final})
    return JSONResponse({"taken": taken})


@router.post(wire.HEARTBEAT)
async def heartbeat(body: Body, context: Context, relay_id: Who) -> JSONResponse:
    """Note how a relay is, and say what is wanted of it."""
    with _reading():
        said = RelayHeartbeat.from_json(body)
    async with context.database.write() as tx:
        relay = await relays.receive_heartbeat(tx, relay_id, said, context.clock())
    return JSONResponse({"wanted": _wanted(relay).__dict__})


def _ours(claims: Sequence[wire.LeaseClaim]) -> list[Claim]:
    return [Claim(one.id, one.token) for one in claims]


def _theirs(claims: list[Claim]) -> list[wire.LeaseClaim]:
    return [wire.LeaseClaim(one.message_id, one.token) for one in claims]
