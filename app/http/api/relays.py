"""Relays over HTTP: the Windows hosts that send over MAPI; how each is, and what an administrator can have it do."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from starlette.status import HTTP_202_ACCEPTED

from app.admin import relays
from app.admin.audit import note
from app.context import AppContext
from app.core.errors import Conflict, NotFound
from app.domain.message import Bodies, Message
from app.domain.relay import Relay as RelayState
from app.domain.relay import trouble_of
from app.http import trial
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.editable import Editable, add_to
from app.http.api.fields import Id, Name, PathId, Shown, StrictModel, Words
from app.http.api.readable import show
from app.http.paging import Paged
from app.store import outbox
from app.store.relays import RELAYS, find_relay, oldest_for, waiting_for

Ids = Annotated[list[Id], Field(max_length=1000)]


class RelayEdit(StrictModel):
    """What can be changed of a relay."""

    name: Name = Field(examples=["mail01"])
    customers: Ids = Field(default_factory=list, description="It sends the messages of these customers;")
    recipients: Ids = Field(
        default_factory=list, description="and those to these recipients. Both empty: every message."
    )
    silent_after_s: int = Field(300, ge=60, le=86_400, description="Not heard for so long, it counts as silent.")
    oldest_after_s: int = Field(
        900, ge=60, le=86_400, description="A message that waits longer takes the next transport."
    )


class RelayIn(RelayEdit):
    """A relay as it is given."""

    customer_id: Id | None = Field(
        None, description="Whose administrators hear of its trouble; null: the first customer's."
    )


class DoctorLine(BaseModel):
    """One point that its doctor looked at."""

    name: str
    state: str = Field(description="ok, warning or fail; a fail pauses it.")
    found: str
    remedy: str


class RelayLine(Shown):
    """A relay in a list."""

    name: str
    customer_id: str
    customers: list[str]
    recipients: list[str]
    silent_after_s: int
    oldest_after_s: int
    paused_at: datetime | None
    paused_why: str | None
    seen_at: datetime | None = Field(description="When it was last heard of.")
    trouble: str | None = Field(description="What its administrators were told; null: it is well.")
    created_at: datetime


class Relay(RelayLine):
    """A relay, and what it says of its host."""

    program: str = Field(description="Its version.")
    host: str
    python: str
    client: str = Field(description="The mail client that it chose,")
    client_why: str = Field(description="and why that one.")
    profile: str
    says_paused: str = Field(description="Why it does not send by its own decision; empty: it does.")
    sent: int = Field(description="Messages that it sent since it was installed.")
    in_spool: int = Field(description="Messages that lie in its spool.")
    waiting: int = Field(description="Messages that wait here for it.")
    oldest_waiting_at: datetime | None
    wrong_now: str | None = Field(description="What is wrong this moment, in words.")
    doctor_at: str = Field(description="When its doctor looked last.")
    doctor_asked_at: datetime | None
    doctor: list[DoctorLine]


class RelaysQuery(Paged):
    """What the list can be asked."""

    name: Name | None = None
    customer_id: Id | None = None


class Pause(StrictModel):
    """Why it is paused."""

    why: Words = Field("by hand", examples=["the mail server is being moved"])


class Trial(StrictModel):
    """Where the test goes."""

    address: str = Field(max_length=254, pattern=r"^[^\s<>@\"]+@[^\s<>@\"]+$", examples=["admin@example.org"])


class TrialQueued(BaseModel):
    """The test message; its life is at /v1/messages/{id}."""

    message_id: str


router = APIRouter(prefix="/v1/relays", tags=["relays"])


async def _shown(context: AppContext, thing_id: str, response: Response) -> Relay:
    async with context.database.read() as tx:
        record, relay = await RELAYS.find(tx, thing_id), await find_relay(tx, thing_id)
        if record is None or relay is None:
            raise NotFound(f"there is no relay {thing_id}")
        oldest, waiting = await oldest_for(tx, relay), await waiting_for(tx, relay)
    line = show(RelayLine, record, response)
    more = {**_of_host(relay), "waiting": waiting, "oldest_waiting_at": oldest}
    return Relay(**line.model_dump(), **more, wrong_now=trouble_of(relay, oldest, context.clock()))


def _of_host(relay: RelayState) -> dict[str, Any]:
    said = relay.heartbeat
    words = {name: said.get(name, "") for name in ("host", "python", "client", "client_why", "profile", "doctor_at")}
    return {
        **words,
        "program": said.get("version", ""),
        "says_paused": said.get("paused_why", ""),
        "sent": said.get("sent", 0),
        "in_spool": said.get("waiting", 0),
        "doctor_asked_at": relay.doctor_asked_at,
        "doctor": said.get("doctor", []),
    }


@router.get("/{thing_id}", summary="Get one relay", responses=problems(404))
async def get_relay(thing_id: PathId, response: Response, context: Context, _caller: Reader) -> Relay:
    """Give how it is, with its doctor's last report line by line."""
    return await _shown(context, thing_id, response)


@router.post("/{thing_id}:pause", summary="Pause a relay", responses=problems(404, 409))
async def pause_relay(thing_id: PathId, given: Pause, response: Response, context: Context, caller: Admin) -> Relay:
    """Give it nothing more to send; what waits for it takes the next transport."""
    async with context.database.write() as tx:
        await relays.pause(tx, thing_id, given.why, editor_of(context, caller))
    return await _shown(context, thing_id, response)


@router.post("/{thing_id}:resume", summary="Let a relay send again", responses=problems(404))
async def resume_relay(thing_id: PathId, response: Response, context: Context, caller: Admin) -> Relay:
    """End a pause, whoever began it; its doctor looks first."""
    async with context.database.write() as tx:
        await relays.resume(tx, thing_id, editor_of(context, caller))
    return await _shown(context, thing_id, response)


@router.post("/{thing_id}:doctor", summary="Have a relay's doctor look", responses=problems(404))
async def ask_doctor(thing_id: PathId, response: Response, context: Context, caller: Admin) -> Relay:
    """Ask; the report stands at the relay within seconds once `doctor_at` is later than `doctor_asked_at`."""
    async with context.database.write() as tx:
        await relays.ask_doctor(tx, thing_id, editor_of(context, caller))
    return await _shown(context, thing_id, response)


@router.post(
    "/{thing_id}:test",
    summary="Send a test through a relay",
    status_code=HTTP_202_ACCEPTED,
    responses=problems(404, 409),
)
async def test_relay(thing_id: PathId, given: Trial, context: Context, caller: Admin) -> TrialQueued:
    """Queue a test message for this relay alone; refused (409) while it is paused."""
    by = editor_of(context, caller)
    async with context.database.write() as tx:
        relay = await find_relay(tx, thing_id)
        if relay is None:
            raise NotFound(f"there is no relay {thing_id}")
        if relay.paused_at is not None:
            raise Conflict(f"it is paused: {relay.paused_why}", code="paused")
        message, bodies = _trial(context, relay, given.address)
        await outbox.insert_messages(tx, [(message, bodies)])
        await note(tx, by.who, by.at, "test", "relay", thing_id, {"address": given.address})
        tx.after_commit(lambda: by.wake("messages"))
    return TrialQueued(message_id=message.id)


def _trial(context: AppContext, relay: RelayState, address: str) -> tuple[Message, Bodies]:
    parcel, now = trial.parcel(context, "mapi", address, relay.id), context.clock()
    message = Message(
        id=parcel.id,
        recipient_id=relay.id,
        transport="mapi",
        place=0,
        address=address,
        urgency=0,
        is_alert=False,
        subject=f"Test through relay {relay.name}",
        message_id=parcel.message_id,
        created_at=now,
        due_at=now,
        move_on_at=now + timedelta(hours=1),
        give_up_at=now + timedelta(hours=1),
        customer_id=relay.customer_id,
        relay_id=relay.id,
    )
    return message, Bodies(mail=parcel.body)


add_to(
    router,
    Editable(
        path="relays",
        noun=relays.NOUN,
        query=RelaysQuery,
        given=RelayIn,
        edit=RelayEdit,
        shown=RelayLine,
        deletion="Deletes it and revokes its keys; what waits for it takes the next transport.",
    ),
)
