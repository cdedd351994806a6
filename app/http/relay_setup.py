"""What `tocsin-relay setup` asks on a new host: the relay's key for a one-time code, and whether the relay works from here.

Like the rest of the relays' API it is not in the published schema; the shapes are in programs/protocol/relay.py.
"""

import re
import time
from collections import deque

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.admin import relays
from app.admin.editing import Editor
from app.admin.relay_setup import exchange_setup_code
from app.core.errors import BadInput, NotAllowed, TooManyTries
from app.domain.recipient import Address
from app.http.api.dependencies import Authenticator, Context
from app.http.relay import Body, RelayId, bad_input_for_bad_shape
from app.http.trial_message import build_trial
from app.store.messages import MESSAGES
from app.store.outbox import attempts_of
from app.store.relays import RELAYS
from programs.protocol import relay as protocol
from programs.protocol.checked import CheckedObject
from programs.protocol.relay import RelayHeartbeat

TRIES_MOST, TRIES_WITHIN_S = 20, 60.0  # of everybody together: an address of an attacker means nothing, he has many
_ADDRESS = re.compile(r"[^\s<>@\"]+@[^\s<>@\"]+")
_CODE_REFUSED = (
    "this code is not valid: mistyped, used already, older than an hour, or tried too often. "
    "An administrator makes a new one: POST /v1/relays/{id}:setup-code"
)

router = APIRouter(include_in_schema=False)


class SetupTries:
    """Counts how often codes are tried, by this process, within a minute."""

    def __init__(self) -> None:
        self._at: deque[float] = deque(maxlen=TRIES_MOST)

    def count(self) -> None:
        """Count one try. Raises TooManyTries, without counting it, so that the limit ends by itself."""
        now = time.monotonic()
        if len(self._at) == TRIES_MOST and now - self._at[0] < TRIES_WITHIN_S:
            raise TooManyTries(f"more than {TRIES_MOST} codes were tried within a minute; wait a minute")
        self._at.append(now)


@router.post(protocol.SETUP, operation_id="set_up_relay")
async def set_up_relay(body: Body, request: Request, context: Context, authenticator: Authenticator) -> JSONResponse:
    """Exchange a one-time code for a relay's key. It needs no key."""
    tries: SetupTries = request.app.state.setup_tries
    tries.count()
    with bad_input_for_bad_shape():
        asked = protocol.SetupRequest.from_json(body)
    by = Editor("one-time code", context.clock(), context.wakeups.wake)
    async with context.database.write() as tx:
        exchanged = await exchange_setup_code(tx, context.secret, asked.code, asked.host, by)
        tx.after_commit(authenticator.forget)
    if exchanged is None:
        raise NotAllowed(_CODE_REFUSED, code="code_refused")
    relay, key = exchanged
    return JSONResponse(protocol.SetupAnswer(relay.name, key).__dict__)


@router.post(protocol.CHECK, operation_id="check_relay")
async def check_relay(body: Body, context: Context, relay_id: RelayId) -> JSONResponse:
    """Return the relay's last heartbeat; queue a test message through it, or say how an earlier test is."""
    with bad_input_for_bad_shape():
        asked = protocol.CheckRequest.from_json(body)
    message_id = asked.message_id
    if asked.test_to:
        if not _ADDRESS.fullmatch(asked.test_to):
            raise BadInput("this is no mail address", field="test_to")
        parcel = build_trial(context, Address("mapi", asked.test_to), relay_id)
        async with context.database.write() as tx:
            relay = await RELAYS.get(tx, relay_id)
            by = Editor(f"relay {relay.name}", context.clock(), context.wakeups.wake)
            await relays.queue_test_message(tx, relay_id, parcel, by)
        message_id = parcel.id
    state, why = "", ""
    async with context.database.read() as tx:
        relay = await RELAYS.get(tx, relay_id)
        message = await MESSAGES.find(tx, message_id) if message_id else None
        # A test's recipient is its relay. Other messages a relay's key does not read here.
        if message is not None and message.recipient_id == relay_id:
            texts = [attempt.text for attempt in await attempts_of(tx, message_id) if attempt.text]
            state, why = message.state.value, (texts or [message.why or ""])[-1]
    heartbeat = RelayHeartbeat.read(CheckedObject(relay.heartbeat)) if relay.heartbeat else None
    return JSONResponse(protocol.CheckAnswer(relay.name, heartbeat, message_id, state, why).as_json())
