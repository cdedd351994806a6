"""Messages over HTTP: what is sent, and all attempts at each."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, BeforeValidator, Field, JsonValue

from app.admin import messages as admin_messages
from app.compose.link_tokens import mail_without_tokens
from app.core.errors import NotFound
from app.deliver.transports.remedies import remedy_of
from app.domain.message import MessageState, takes_json
from app.domain.recipient import shown_address
from app.domain.returned_mail import ReturnKind, Via
from app.http.api.dependencies import Context, Operator, ScopedOperator, ScopedReader, editor_of, problems
from app.http.api.fields import Id, OutId, OutModel, PathId, StrictModel, example
from app.http.api.notices import NoticeOut
from app.http.api.scoped_query import ScopedQuery, narrowed, seen
from app.http.paging import PageOut
from app.store.customers import Scope
from app.store.messages import MESSAGES, MessageFilters, bodies_of, first_of_successors, page_messages
from app.store.notices import NoticeFilters, page_notices
from app.store.outbox import attempts_of
from app.store.repository import Window
from app.store.returned_mails import returned_about
from app.store.transactions import ReadTx

router = APIRouter(prefix="/v1/messages", tags=["messages"])

_NOTICES_MOST = 200
_RETURNED_MOST = 20


class MessageOut(OutModel):
    """A message: a notice, or several, in words for one transport of one recipient."""

    id: OutId
    customer_id: str | None = Field(description="The customer it is about; null for a summary over all customers.")
    recipient_id: str = Field(description="Who is to receive it.")
    transport: str = Field(description="By which transport it is sent, such as smtp or webhook.")
    address: Annotated[str, BeforeValidator(shown_address)] = Field(
        description="Where it goes: a mail address, or the host of a program and the start of the path. The rest of a URL can be a secret; its recipient has the whole one."
    )
    state: MessageState = Field(
        description="`unknown`: it may have arrived, and is sent again with the same Message-ID. "
        "`dead`: not sent, and not tried again. `moved`: a successor goes by the recipient's next transport. "
        "`bounced`: it was sent and came back; if `moved_to` is set, a successor goes by the next transport."
    )
    is_alert: bool = Field(description="Whether it reports alerts; else it is a summary.")
    subject: str = Field(description="Its subject line.")
    message_id: str = Field(description="Its Message-ID; the same for all its successors.")
    created_at: datetime = Field(description="When it was made.")
    due_at: datetime = Field(description="When it is, or was, to be sent next.")
    give_up_at: datetime = Field(description="When it becomes dead if it was not sent by then.")
    settled_at: datetime | None = Field(description="When it became sent, dead, moved or bounced.")
    attempts: int = Field(description="How many attempts have ended.")
    maybe_sent: bool = Field(description="Whether an attempt ended `unknown`: it may have arrived already.")
    moved_to: str | None = Field(description="Its successor, on the recipient's next transport.")
    moved_from: str | None = Field(description="Its predecessor.")
    moved_why: str | None = Field(description="Why its predecessor was moved to this transport; null: it had none.")
    why: str | None = Field(description="How it came to its state, in words.")


class MessagePage(PageOut[MessageOut]):
    """A page of messages."""


class AttemptOut(OutModel):
    """One attempt to send a message."""

    number: int = Field(description="1 for the first.")
    holder: str = Field(description="Who made it: a worker or a relay.")
    started_at: datetime = Field(description="When it started.")
    ended_at: datetime | None = Field(description="When it ended; null while it is under way.")
    outcome: str | None = Field(description="sent, temporary, permanent or unknown; null while it is under way.")
    code: str | None = Field(description="The code that the other side answered, or that names the failure.")
    text: str | None = Field(description="What the other side answered, word for word, or a sentence about it.")
    evidence: dict[str, JsonValue] | None = Field(
        description="What proves or explains the outcome, as the transport reported it; null: only the text. The names depend on the transport."
    )
    mend: str | None = Field(None, description="What to correct, if the code shows it; it names the setting.")


class ReturnedOut(OutModel):
    """A mail that came back about a message."""

    received_at: datetime = Field(description="When it came.")
    via: Via = Field(description="How it came: `smtp` (our mail listener) or `imap` (our mailbox).")
    sender: str = Field(description="Its envelope sender; empty for a notice of a mail server.")
    result: ReturnKind | None = Field(
        description="What it says: `bounced`, `delayed`, `delivered`, `auto_reply` or `other`; null until it was read."
    )
    words: str | None = Field(description="The reason in the words of the other side.")


class MessageDetailOut(MessageOut):
    """A message with its attempts, its notices and what came back about it. Its text is at `/raw`."""

    lease_until: datetime | None = Field(description="Until when a worker or relay has it, while it is leased.")
    lease_holder: str | None = Field(description="Which worker or relay has it, while it is leased.")
    tries: list[AttemptOut] = Field(description="All attempts, the oldest first.")
    returned: list[ReturnedOut] = Field(
        description=f"Mails that came back about it, the newest first, at most {_RETURNED_MOST}."
    )
    notices: list[NoticeOut] = Field(description=f"The notices in it, the newest first, at most {_NOTICES_MOST}.")


class MessagesRetry(StrictModel, json_schema_extra=example(transport="smtp", cause="sender")):
    """Which dead messages are queued again. A field that is left out excludes none."""

    transport: str | None = Field(
        None, max_length=12, pattern="^[a-z0-9]+$", description="Only those of this transport."
    )
    cause: str | None = Field(
        None,
        max_length=40,
        description="Only those whose last attempt ended with this `code`, such as `sender` or `550`.",
    )
    recipient_id: Id | None = Field(None, description="Only those for this recipient.")
    before: Id | None = Field(None, description="Only those older than this message: `next` of the answer before.")


class MessagesRetried(BaseModel):
    """What a retry of dead messages did."""

    retried: int = Field(description=f"How many are queued again, at most {admin_messages.AT_ONCE} at a time.")
    refused: int = Field(description="How many nobody can send: their recipient, or its transport, no longer exists.")
    next: str | None = Field(description="There may be more: call again with this as `before`. null: those were all.")


class MessagesQuery(ScopedQuery):
    """Filters of the list of messages. A summary belongs to no agent and no job."""

    state: Annotated[MessageState | None, Field(description="Only those in this state.")] = None
    transport: Annotated[
        str | None, Field(max_length=12, pattern="^[a-z0-9]+$", description="Only those of this transport.")
    ] = None
    recipient_id: Annotated[Id | None, Field(description="Only those for this recipient.")] = None
    is_alert: Annotated[bool | None, Field(description="Only those that report alerts; false: only summaries.")] = None

    def filters(self) -> MessageFilters:
        """Return the filters for the store."""
        return MessageFilters(
            self.scope(),
            state=self.state,
            transport=self.transport,
            recipient_id=self.recipient_id,
            is_alert=self.is_alert,
        )


@router.get("", operation_id="list_messages", summary="List messages", responses=problems())
async def list_messages(
    query: Annotated[MessagesQuery, Query()], context: Context, caller: ScopedReader
) -> MessagePage:
    """Return messages, the newest first. A key of chosen customers sees only those that are about one of them alone."""
    async with context.database.read() as tx:
        page = await page_messages(tx, narrowed(query, caller).filters(), query.window(MESSAGES.prefix))
    return MessagePage.of(page)


@router.get("/{message_id}", operation_id="get_message", summary="Get a message", responses=problems(404))
async def get_message(message_id: PathId, context: Context, caller: ScopedReader) -> MessageDetailOut:
    """Return one message, with every attempt to send it and the notices in it."""
    async with context.database.read() as tx:
        seen(await MESSAGES.get(tx, message_id), "message", caller)
        return await _detail(tx, message_id)


@router.get(
    "/{message_id}/raw",
    operation_id="get_raw_message",
    summary="Get a message as it is sent",
    response_class=Response,
    responses=problems(404) | {200: {"content": {"message/rfc822": {}, "application/json": {}}}},
)
async def get_raw_message(message_id: PathId, context: Context, caller: ScopedReader) -> Response:
    """Return the finished bytes: the mail, or the JSON document of a webhook.

    The signed links of a mail, with which anybody could act in the name of its recipient, are replaced, whatever the role of the key.
    """
    async with context.database.read() as tx:
        message = seen(await MESSAGES.get(tx, message_id), "message", caller)
        bodies = await bodies_of(tx, message_id)
    if bodies is None:
        raise NotFound(f"there is no message {message_id}")
    if takes_json(message.transport):
        return Response(bodies.webhook or b"", media_type="application/json")
    name = {"Content-Disposition": f'attachment; filename="{message_id}.eml"'}
    return Response(mail_without_tokens(bodies.mail or b""), media_type="message/rfc822", headers=name)


@router.post(
    "/{message_id}:retry",
    operation_id="retry_message",
    summary="Try a dead or bounced message again",
    responses=problems(404, 409),
)
async def retry_message(message_id: PathId, context: Context, caller: ScopedOperator) -> MessageDetailOut:
    """Queue a dead or bounced message again, due now, to the present address of its recipient.

    Refused (409) unless it is dead or bounced and a transport that the recipient has today can carry it.
    """
    retry_for = timedelta(hours=context.settings.retry_for_h)
    patience = timedelta(minutes=context.settings.failover_after_min)
    async with context.database.write() as tx:
        seen(await MESSAGES.get(tx, message_id), "message", caller)
        await admin_messages.retry_message(tx, message_id, retry_for, patience, editor_of(context, caller))
        return await _detail(tx, message_id)


@router.post(":retry", operation_id="retry_messages", summary="Try dead messages again", responses=problems())
async def retry_messages(context: Context, caller: Operator, body: MessagesRetry | None = None) -> MessagesRetried:
    """Queue all dead messages of one cause again, the newest first, once the cause is corrected. Calling it again does no harm."""
    meant = body or MessagesRetry()
    retry_for = timedelta(hours=context.settings.retry_for_h)
    patience = timedelta(minutes=context.settings.failover_after_min)
    dead = admin_messages.DeadMessages(meant.transport, meant.cause, meant.recipient_id, meant.before)
    by = editor_of(context, caller)
    done = await admin_messages.retry_messages(context.database, dead, retry_for, patience, by)
    return MessagesRetried(retried=done.retried, refused=done.refused, next=done.next)


async def _detail(tx: ReadTx, message_id: str) -> MessageDetailOut:
    message = await MESSAGES.get(tx, message_id)
    first = await first_of_successors(tx, message)
    notices = await page_notices(tx, NoticeFilters(Scope(), message_id=first.id), Window(_NOTICES_MOST))
    tries = []
    for attempt in await attempts_of(tx, message_id):
        is_failed = attempt.outcome is not None and attempt.outcome != "sent"
        mend = remedy_of(attempt.code, message.transport) if is_failed else None
        tries.append(AttemptOut.of(attempt).model_copy(update={"mend": mend}))
    return MessageDetailOut(
        **MessageOut.of(message).model_dump(),
        lease_until=message.lease_until,
        lease_holder=message.lease_holder,
        tries=tries,
        returned=[ReturnedOut.of(mail) for mail in await returned_about(tx, message_id, _RETURNED_MOST)],
        notices=[NoticeOut.of(notice) for notice in notices.items],
    )
