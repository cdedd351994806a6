"""The API for relays: they lease messages, return receipts, and send heartbeats. The shapes are in programs/protocol/relay.py.

It is not in the published schema: its only client is our own relay, and both sides parse with the same code.
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
from app.domain.recipient import Address
from app.domain.relay import Relay, is_probe_due
from app.http.api.dependencies import Context
from app.http.auth import Caller, need
from app.http.trial_message import build_trial
from programs.protocol import relay as protocol
from programs.protocol.checked import BadShape
from programs.protocol.relay import ASKED_MOST, RelayHeartbeat, RelayInstructions

_POLL_S = 0.5  # how often a waiting relay's messages are looked for, in case a wakeup of another process got lost

router = APIRouter(include_in_schema=False)


async def _body(request: Request) -> bytes:
    """Read the body. Raises TooLarge before more than the limit is in memory."""
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
RelayId = Annotated[str, Depends(_relay_id)]


@contextlib.contextmanager
def bad_input_for_bad_shape() -> Iterator[None]:
    """Answer a body that is not as agreed with BadInput."""
    try:
        yield
    except BadShape as wrong:
        raise BadInput(str(wrong), code="bad_shape", field=wrong.field) from wrong


@router.post(protocol.LEASE, operation_id="lease_messages")
async def lease_messages(body: Body, request: Request, context: Context, relay_id: RelayId) -> JSONResponse:
    """Return messages as soon as there are any; an empty list after `wait_s` seconds."""
    with bad_input_for_bad_shape():
        asked = protocol.LeaseRequest.from_json(body)
    holding = {Claim(one.id, one.token) for one in asked.holding}
    until = asyncio.get_running_loop().time() + asked.wait_s
    relay, leased = await _take_leases(context, relay_id, asked.most, holding)
    before = _instructions_for(relay)
    while not leased and await _is_worth_waiting(request, context, until):
        if (asked.most and await deliver_relays.has_due_messages(context, relay_id)) or await relays.has_news(
            context, relay_id, before
        ):
            relay, leased = await _take_leases(context, relay_id, asked.most, holding)
            if not leased and _instructions_for(relay) != before:
                break
    mails = [
        protocol.LeasedMail(
            lease.claim.message_id,
            lease.claim.token,
            deliver_relays.LEASE_FOR.total_seconds(),
            lease.parcel.address,
            lease.parcel.message_id,
            lease.parcel.body,
            lease.is_alert,
            lease.maybe_sent,
            lease.has_other_way,
        )
        for lease in leased
    ]
    return JSONResponse(protocol.LeaseAnswer(mails, _instructions_for(relay)).as_json())


async def _take_leases(
    context: AppContext, relay_id: str, most: int, holding: set[Claim]
) -> tuple[Relay, list[Leased]]:
    async with context.database.write() as tx:
        relay, leased = await deliver_relays.take_leases(tx, relay_id, most, holding, context.clock())
        if not leased and most and relay.test_address and is_probe_due(relay, context.clock()):
            # All waiting messages have another transport. A test mail of our own finds out whether the relay sends again.
            await relays.queue_probe(
                tx, relay, build_trial(context, Address("mapi", relay.test_address), relay_id), context.clock()
            )
            relay, leased = await deliver_relays.take_leases(tx, relay_id, most, holding, context.clock())
        return relay, leased


async def _is_worth_waiting(request: Request, context: AppContext, until: float) -> bool:
    """Wait for a wakeup; return False when the time is over, the relay has disconnected, or the service stops."""
    left = until - asyncio.get_running_loop().time()
    if left <= 0 or request.app.state.is_stopping():
        return False
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(min(left, _POLL_S)):
            await context.wakeups.for_relays.wait()
            context.wakeups.for_relays.clear()  # every request that waits was woken by then
    return not await request.is_disconnected()


def _instructions_for(relay: Relay) -> RelayInstructions:
    asked = relay.doctor_asked_at
    return RelayInstructions(relay.paused_at is not None, relay.paused_why or "", asked.isoformat() if asked else "")


@router.post(protocol.BEGIN, operation_id="begin_attempts")
async def begin_attempts(body: Body, context: Context, relay_id: RelayId) -> JSONResponse:
    """Return which attempts may be made; they are stored by then."""
    with bad_input_for_bad_shape():
        claims = protocol.LeaseClaims.from_json(body).claims
    async with context.database.write() as tx:
        begun = await deliver_relays.start_attempts(tx, relay_id, _ours(claims), context.clock())
    return JSONResponse(protocol.LeaseClaims(_theirs(begun)).as_json())


@router.post(protocol.RENEW, operation_id="renew_leases")
async def renew_leases(body: Body, context: Context, relay_id: RelayId) -> JSONResponse:
    """Extend leases; return those that are still held."""
    with bad_input_for_bad_shape():
        claims = protocol.LeaseClaims.from_json(body).claims
    async with context.database.write() as tx:
        held = await deliver_relays.renew(tx, relay_id, _ours(claims), context.clock())
    return JSONResponse(protocol.LeaseClaims(_theirs(held)).as_json())


@router.post(protocol.RECEIPTS, operation_id="post_receipts")
async def post_receipts(body: Body, context: Context, relay_id: RelayId) -> JSONResponse:
    """Settle attempts; each receipt in its own transaction, so that one that fails does not stop the others."""
    with bad_input_for_bad_shape():
        receipts = protocol.RelayReceipts.from_json(body).receipts
    taken = []
    for receipt in receipts:
        async with context.database.write() as tx:
            result = await deliver_relays.take_receipt(tx, relay_id, receipt, context.clock())
            tx.after_commit(lambda: context.wakeups.wake("messages"))
        taken.append({"id": receipt.id, "token": receipt.token, "said": result.text, "is_final": result.is_final})
    return JSONResponse({"taken": taken})


@router.post(protocol.HEARTBEAT, operation_id="post_heartbeat")
async def post_heartbeat(body: Body, context: Context, relay_id: RelayId) -> JSONResponse:
    """Store the state of a relay, and return its instructions."""
    with bad_input_for_bad_shape():
        state = RelayHeartbeat.from_json(body)
    async with context.database.write() as tx:
        relay = await relays.receive_heartbeat(tx, relay_id, state, context.clock())
    return JSONResponse({"wanted": _instructions_for(relay).__dict__})


def _ours(claims: Sequence[protocol.LeaseClaim]) -> list[Claim]:
    return [Claim(one.id, one.token) for one in claims]


def _theirs(claims: list[Claim]) -> list[protocol.LeaseClaim]:
    return [protocol.LeaseClaim(one.message_id, one.token) for one in claims]
