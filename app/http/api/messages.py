"""Messages over HTTP: what is sent, and the whole life of each."""

from datetime import datetime, timedelta

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app.admin import messages
from app.context import AppContext
from app.core.errors import NotFound
from app.domain.message import MessageState, takes_json
from app.domain.record import Record, Wanted
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.fields import Id, PathId
from app.http.api.notices import Notice
from app.http.api.readable import Readable, add_list
from app.http.paging import PagedByTime
from app.store.attempts import attempts_of
from app.store.history import MESSAGES, NOTICES, bodies_of
from app.store.transactions import ReadTx

_NOTICES_MOST = 200


class MessageLine(BaseModel):
    """A message in a list."""

    id: str
    customer_id: str | None
    recipient_id: str
    transport: str
    address: str
    state: MessageState = Field(
        description="unknown: it may have arrived, and is sent again under the same Message-ID."
    )
    is_alert: bool
    subject: str
    message_id: str = Field(description="Its Message-ID; the same for all its successors.")
    created_at: datetime
    due_at: datetime
    give_up_at: datetime
    settled_at: datetime | None
    attempts: int
    maybe_sent: bool = Field(description="An attempt ended unknown: it may have arrived already.")
    moved_to: str | None = Field(description="Its successor, on the recipient's next transport.")
    moved_from: str | None = Field(description="Its predecessor.")
    why: str | None = Field(description="The last thing that became of it, in words.")


class Attempt(BaseModel):
    """One try at sending; `outcome` is null while it is under way."""

    number: int
    holder: str = Field(description="Who tried: a worker or a relay.")
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None = Field(description="sent, temporary, permanent or unknown.")
    code: str | None
    text: str | None = Field(description="The other side's own words.")


class Message(MessageLine):
    """A message with its whole life. Its text is at `/raw`."""

    lease_until: datetime | None
    lease_holder: str | None
    tries: list[Attempt] = Field(description="Every attempt, oldest first.")
    notices: list[Notice] = Field(description=f"What it tells, at most {_NOTICES_MOST} of them.")


class MessagesQuery(PagedByTime):
    """What the list can be asked; the newest come first."""

    state: MessageState | None = None
    transport: str | None = Field(None, max_length=12, pattern="^[a-z]+$")
    recipient_id: Id | None = None
    customer_id: Id | None = None
    is_alert: bool | None = None


router = APIRouter(prefix="/v1/messages", tags=["messages"])
add_list(router, Readable("messages", "message", MESSAGES, MessagesQuery, MessageLine, MessageLine))


@router.get("/{thing_id}", summary="Get one message with its whole life", responses=problems(404))
async def get_message(thing_id: PathId, context: Context, _caller: Reader) -> Message:
    """Give every attempt with code, text and time, and what the message tells."""
    return await _message(context, thing_id)


@router.get(
    "/{thing_id}/raw",
    summary="Get a message as it is sent",
    response_class=Response,
    responses=problems(404) | {200: {"content": {"message/rfc822": {}, "application/json": {}}}},
)
async def get_raw_message(thing_id: PathId, context: Context, _caller: Reader) -> Response:
    """Give the finished bytes: the mail, or the webhook's document."""
    async with context.database.read() as tx:
        found, bodies = await MESSAGES.find(tx, thing_id), await bodies_of(tx, thing_id)
    if found is None or bodies is None:
        raise NotFound(f"there is no message {thing_id}")
    if takes_json(found.fields["transport"]):
        return Response(bodies.webhook or b"", media_type="application/json")
    name = {"Content-Disposition": f'attachment; filename="{thing_id}.eml"'}
    return Response(bodies.mail or b"", media_type="message/rfc822", headers=name)


@router.post("/{thing_id}:retry", summary="Try a dead message again", responses=problems(404, 409))
async def retry_message(thing_id: PathId, context: Context, caller: Admin) -> Message:
    """Queue it anew, due now, to where its recipient is reached today. Refused (409) unless it is dead and can be carried there."""
    retry_for = timedelta(hours=context.settings.retry_for_h)
    patience = timedelta(minutes=context.settings.failover_after_min)
    async with context.database.write() as tx:
        await messages.retry(tx, thing_id, retry_for, patience, editor_of(context, caller))
    return await _message(context, thing_id)


async def _message(context: AppContext, message_id: str) -> Message:
    async with context.database.read() as tx:
        found = await MESSAGES.find(tx, message_id)
        if found is None:
            raise NotFound(f"there is no message {message_id}")
        tries = await attempts_of(tx, message_id)
        told = await NOTICES.page(tx, Wanted(_NOTICES_MOST, filters={"message_id": await _first_of(tx, found)}))
    return Message(
        **found.fields,
        tries=[Attempt.model_validate(one, from_attributes=True) for one in tries],
        notices=[Notice.model_validate(one.fields) for one in told.items],
    )


async def _first_of(tx: ReadTx, message: Record) -> str:
    """Give the id of the message that the notices were worded into; one that was moved here tells the same."""
    first = message
    while first.fields["moved_from"] is not None:
        before = await MESSAGES.find(tx, first.fields["moved_from"])
        if before is None:
            break
        first = before
    return first.id
