"""Relays over HTTP: the Windows hosts that send over MAPI; how each is, and what an administrator can have it do."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from starlette.status import HTTP_201_CREATED, HTTP_202_ACCEPTED, HTTP_204_NO_CONTENT

from app.admin import relays as admin_relays
from app.admin.relay_setup import create_setup_code
from app.context import AppContext
from app.domain.recipient import Address
from app.domain.relay import Relay, unfit
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.fields import (
    CreatedAt,
    Id,
    Name,
    OnlyCustomer,
    OnlyName,
    OutId,
    OutModel,
    OutName,
    PathId,
    Seconds,
    StrictModel,
    Version,
    Words,
    example,
    left_out,
    merged,
)
from app.http.etag import IfMatch, put_etag
from app.http.paging import Paged, PageOut
from app.http.relay_setup_lines import RelaySetupOut, setup_out
from app.http.trial_message import build_trial
from app.store.relays import RELAYS, oldest_for, page_relays, waiting_for

router = APIRouter(prefix="/v1/relays", tags=["relays"])

_CUSTOMERS = "It sends the messages of these customers;"
_RECIPIENTS = "and those to these recipients. Both empty: every message."
_SILENT = "Seconds without a heartbeat after which it counts as silent."
_OLDEST = "Seconds after which a message that waits for it takes the next transport."

RelayName = Annotated[Name, Field(description="Its name, unique among relays.", examples=["mail01"])]
RelayCustomers = Annotated[list[Id], Field(max_length=1000, description=_CUSTOMERS)]
RelayRecipients = Annotated[list[Id], Field(max_length=1000, description=_RECIPIENTS)]
RelaySilentAfter = Annotated[int, Field(ge=60, le=86_400, description=_SILENT)]
OldestAfter = Annotated[int, Field(ge=60, le=86_400, description=_OLDEST)]
_TEST = "Where it sends a mail of its own to find out whether it sends again; the address of its first test if you set none."
_ADDRESS = r"^[^\s<>@\"]+@[^\s<>@\"]+$"
TestAddress = Annotated[str | None, Field(max_length=254, pattern=_ADDRESS, description=_TEST)]


class RelayFields(StrictModel):
    """What can be changed of a relay."""

    name: RelayName
    customers: RelayCustomers = Field(default_factory=list)
    recipients: RelayRecipients = Field(default_factory=list)
    silent_after_s: RelaySilentAfter = 300
    oldest_after_s: OldestAfter = 900
    test_address: TestAddress = None


class RelayCreate(RelayFields, json_schema_extra=example(name="mail01", silent_after_s=300)):
    """A relay to create."""

    customer_id: Id | None = Field(
        None, description="Whose administrators are alerted of its trouble; null: the first customer's."
    )


class RelayUpdate(StrictModel, json_schema_extra=example(oldest_after_s=1800)):
    """The fields of a relay to change; a field that is left out stays as it is."""

    name: RelayName = left_out()
    customers: RelayCustomers = left_out()
    recipients: RelayRecipients = left_out()
    silent_after_s: RelaySilentAfter = left_out()
    oldest_after_s: OldestAfter = left_out()
    test_address: TestAddress = left_out()

    def applied_to(self, relay: Relay) -> Relay:
        """Return the relay with the fields that were sent. Raises RequestValidationError."""
        whole = merged(RelayFields, RelayOut.of(relay), self)
        return replace(
            relay,
            name=whole.name,
            customers=tuple(whole.customers),
            recipients=tuple(whole.recipients),
            silent_after=timedelta(seconds=whole.silent_after_s),
            oldest_after=timedelta(seconds=whole.oldest_after_s),
            test_address=whole.test_address,
        )


class RelayOut(OutModel):
    """A relay as lists show it."""

    id: OutId
    version: Version
    name: OutName
    customer_id: str = Field(description="Whose administrators are alerted of its trouble.")
    customers: list[str] = Field(description=_CUSTOMERS)
    recipients: list[str] = Field(description=_RECIPIENTS)
    silent_after_s: Seconds = Field(validation_alias="silent_after", description=_SILENT)
    oldest_after_s: Seconds = Field(validation_alias="oldest_after", description=_OLDEST)
    test_address: str | None = Field(description=_TEST)
    paused_at: datetime | None = Field(
        description="Since when it is paused, by hand or because a window opened; until you resume it. Null: it is not."
    )
    paused_why: str | None = Field(description="Why it is paused.")
    broken_at: datetime | None = Field(
        description="Since when it cannot send and gets only probes; it ends by itself when one is sent. Null: it can."
    )
    broken_why: str | None = Field(description="Why it cannot send.")
    probe_at: datetime | None = Field(description="When the next probe may be sent.")
    seen_at: datetime | None = Field(description="When its last heartbeat came.")
    trouble: str | None = Field(description="What its administrators were alerted of; null: it works.")
    created_at: CreatedAt


class RelayCreated(RelayOut):
    """A relay that was just created, and how to set it up on its host."""

    setup: RelaySetupOut = Field(description="What to do on the Windows host, within the hour.")


class RelayPage(PageOut[RelayOut]):
    """A page of relays."""


class DoctorCheck(BaseModel):
    """One point that the relay's doctor checked."""

    name: str = Field(description="The stable name of the point, for programs.")
    question: str = Field("", description="The question that it answers.")
    state: str = Field(description="ok, warning or fail; a fail pauses the relay.")
    found: str = Field(description="The answer.")
    remedy: str = Field(description="What to do about it.")


class RelayDetailsOut(RelayOut):
    """A relay, and what it reports of its host."""

    program: str = Field(description="The version of its program.")
    host: str = Field(description="The name of its host.")
    python: str = Field(description="The version of Python that runs it.")
    client: str = Field(description="The mail client that it chose,")
    client_why: str = Field(description="and why that one.")
    profile: str = Field(description="The mail profile that it uses.")
    says_paused: str = Field(description="Why it does not send by its own decision; empty: it does.")
    sent: int = Field(description="Messages that it sent since it was installed.")
    in_spool: int = Field(description="Messages in its spool.")
    waiting: int = Field(description="Messages that wait here for it.")
    oldest_waiting_at: datetime | None = Field(description="When the oldest of them was created; null: none waits.")
    wrong_now: str | None = Field(description="What is wrong at this moment, in words; null: nothing.")
    doctor_at: str = Field(description="When its doctor ran last.")
    doctor_asked_at: datetime | None = Field(description="When an administrator last asked for its doctor.")
    doctor: list[DoctorCheck] = Field(description="The last report of its doctor.")


class RelaysQuery(Paged):
    """Filters of the list of relays."""

    name: OnlyName = None
    customer_id: OnlyCustomer = None


class RelayPause(StrictModel, json_schema_extra=example(why="the mail server is being moved")):
    """Why a relay is paused."""

    why: Words = Field("by hand", description="The reason.", examples=["the mail server is being moved"])


class RelayTestCreate(StrictModel, json_schema_extra=example(address="admin@example.org")):
    """Where the test message goes."""

    address: str = Field(
        max_length=254,
        pattern=_ADDRESS,
        description="A mail address.",
        examples=["admin@example.org"],
    )


class RelayTestQueued(BaseModel):
    """The test message; its state is at `/v1/messages/{message_id}`."""

    message_id: str = Field(description="Its id.")


@router.get("", operation_id="list_relays", summary="List relays", responses=problems())
async def list_relays(query: Annotated[RelaysQuery, Query()], context: Context, _caller: Reader) -> RelayPage:
    """Return relays in the order of their creation."""
    async with context.database.read() as tx:
        window = query.window(RELAYS.prefix)
        page = await page_relays(tx, window, customer_id=query.customer_id, name=query.name)
    return RelayPage.of(page)


@router.get("/{relay_id}", operation_id="get_relay", summary="Get a relay", responses=problems(404, 409))
async def get_relay(relay_id: PathId, response: Response, context: Context, _caller: Reader) -> RelayDetailsOut:
    """Return one relay, with the last report of its doctor line by line."""
    return await _details(context, relay_id, response)


@router.post(
    "", operation_id="create_relay", summary="Create a relay", status_code=HTTP_201_CREATED, responses=problems(409)
)
async def create_relay(body: RelayCreate, response: Response, context: Context, caller: Admin) -> RelayCreated:
    """Add a relay. The answer shows, once, the one-time code and the lines that set it up on its Windows host."""
    by = editor_of(context, caller)
    async with context.database.write() as tx:
        relay = await admin_relays.create_relay(
            tx,
            body.name,
            by,
            customer_id=body.customer_id,
            customers=tuple(body.customers),
            recipients=tuple(body.recipients),
            silent_after=timedelta(seconds=body.silent_after_s),
            oldest_after=timedelta(seconds=body.oldest_after_s),
            test_address=body.test_address,
        )
        code, clear = await create_setup_code(tx, context.secret, relay.id, by)
    response.headers["Location"] = f"/v1/relays/{relay.id}"
    put_etag(response, relay.version)
    setup = await asyncio.to_thread(setup_out, context.settings, clear, code.expires_at)
    return RelayCreated.model_validate(_values_of(relay) | {"setup": setup})


@router.patch("/{relay_id}", operation_id="update_relay", summary="Update a relay", responses=problems(404, 409, 412))
async def update_relay(
    relay_id: PathId, body: RelayUpdate, response: Response, context: Context, caller: Admin, versions: IfMatch
) -> RelayOut:
    """Replace the fields that are sent; the others stay as they are."""
    async with context.database.write() as tx:
        by = editor_of(context, caller, body.model_fields_set)
        relay = await admin_relays.update_relay(tx, relay_id, body.applied_to, by, versions=versions)
    put_etag(response, relay.version)
    return RelayOut.of(relay)


@router.delete(
    "/{relay_id}",
    operation_id="delete_relay",
    summary="Delete a relay",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 412),
)
async def delete_relay(relay_id: PathId, context: Context, caller: Admin, versions: IfMatch) -> None:
    """Delete a relay and revoke its keys; what waits for it takes the next transport."""
    async with context.database.write() as tx:
        await admin_relays.delete_relay(tx, relay_id, editor_of(context, caller), versions=versions)


@router.post(
    "/{relay_id}:setup-code",
    operation_id="create_relay_setup_code",
    summary="Make a new one-time code for a relay",
    status_code=HTTP_201_CREATED,
    responses=problems(404, 409),
)
async def create_relay_setup_code(relay_id: PathId, context: Context, caller: Admin) -> RelaySetupOut:
    """Make a code to set the relay up again, or on another host; an earlier code ends. When it is used, the relay's other keys are revoked."""
    async with context.database.write() as tx:
        code, clear = await create_setup_code(tx, context.secret, relay_id, editor_of(context, caller))
    return await asyncio.to_thread(setup_out, context.settings, clear, code.expires_at)


@router.post("/{relay_id}:pause", operation_id="pause_relay", summary="Pause a relay", responses=problems(404, 409))
async def pause_relay(
    relay_id: PathId, body: RelayPause, response: Response, context: Context, caller: Admin
) -> RelayDetailsOut:
    """Let the relay send nothing more; what waits for it takes the next transport."""
    async with context.database.write() as tx:
        await admin_relays.pause_relay(tx, relay_id, body.why, editor_of(context, caller))
    return await _details(context, relay_id, response)


@router.post(
    "/{relay_id}:resume", operation_id="resume_relay", summary="Let a relay send again", responses=problems(404)
)
async def resume_relay(relay_id: PathId, response: Response, context: Context, caller: Admin) -> RelayDetailsOut:
    """End a pause, whether an administrator or the program began it; the relay's doctor runs first."""
    async with context.database.write() as tx:
        await admin_relays.resume_relay(tx, relay_id, editor_of(context, caller))
    return await _details(context, relay_id, response)


@router.post(
    "/{relay_id}:doctor", operation_id="ask_relay_doctor", summary="Run a relay's doctor", responses=problems(404)
)
async def ask_relay_doctor(relay_id: PathId, response: Response, context: Context, caller: Admin) -> RelayDetailsOut:
    """Ask the relay to check its host. Its report is there within seconds, as soon as `doctor_at` is later than `doctor_asked_at`."""
    async with context.database.write() as tx:
        await admin_relays.ask_relay_doctor(tx, relay_id, editor_of(context, caller))
    return await _details(context, relay_id, response)


@router.post(
    "/{relay_id}:test",
    operation_id="test_relay",
    summary="Send a test message through a relay",
    status_code=HTTP_202_ACCEPTED,
    responses=problems(404, 409),
)
async def test_relay(relay_id: PathId, body: RelayTestCreate, context: Context, caller: Admin) -> RelayTestQueued:
    """Queue a test message for this relay alone; refused (409) while it is paused."""
    parcel = build_trial(context, Address("mapi", body.address), relay_id)
    async with context.database.write() as tx:
        await admin_relays.queue_test_message(tx, relay_id, parcel, editor_of(context, caller))
    return RelayTestQueued(message_id=parcel.id)


async def _details(context: AppContext, relay_id: str, response: Response) -> RelayDetailsOut:
    async with context.database.read() as tx:
        relay = await RELAYS.get(tx, relay_id)
        oldest, waiting = await oldest_for(tx, relay), await waiting_for(tx, relay)
    put_etag(response, relay.version)
    reported = relay.heartbeat
    return RelayDetailsOut.model_validate(
        _values_of(relay)
        | {name: reported.get(name, "") for name in ("host", "python", "client", "client_why", "profile", "doctor_at")}
        | {
            "program": reported.get("version", ""),
            "says_paused": reported.get("paused_why", ""),
            "sent": reported.get("sent", 0),
            "in_spool": reported.get("waiting", 0),
            "waiting": waiting,
            "oldest_waiting_at": oldest,
            "wrong_now": unfit(relay, oldest, context.clock()),
            "doctor_asked_at": relay.doctor_asked_at,
            "doctor": reported.get("doctor", []),
        }
    )


def _values_of(relay: Relay) -> dict[str, object]:
    """Return what a list shows of a relay, for a model that has more fields."""
    dumped = RelayOut.of(relay).model_dump(exclude={"silent_after_s", "oldest_after_s"})
    return dumped | {"silent_after": relay.silent_after, "oldest_after": relay.oldest_after}
