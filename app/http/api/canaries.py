"""Canary mails over HTTP: which were sent, by which servers they came, how long they took, and which were lost."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.status import HTTP_202_ACCEPTED

from app.admin.audit import note
from app.compose.canaries import send_now
from app.domain.canary import CanaryState, MailTimes
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.fields import Id, OutId, OutModel, PathId
from app.http.paging import PagedByTime, PageOut
from app.store.canaries import CANARIES, page_canaries

router = APIRouter(prefix="/v1/canaries", tags=["canaries"])


class HopOut(OutModel):
    """A server that the mail passed, from its Received header."""

    by: str = Field(description="The name of the server, as it writes it.", examples=["mx.example.org"])
    at: datetime | None = Field(description="When it had the mail, by its own clock; null if it does not say.")


class CanaryOut(OutModel):
    """A canary mail."""

    id: OutId
    transport: str = Field(description="By which transport it was sent.", examples=["smtp"])
    relay_id: str = Field(description="By which relay, for `mapi`; empty otherwise.")
    name: str = Field(description="Its way, as alerts name it.", examples=["relay mailhost"])
    state: CanaryState = Field(description="waiting, arrived or lost.")
    message_id: str = Field(description="Its message, with its attempts: `GET /v1/messages/{id}`.")
    sent_at: datetime = Field(description="When it was put into the outbox.")
    arrived_at: datetime | None = Field(description="When it arrived; null: it did not.")
    seconds: float | None = Field(description="How long it took, from the outbox to its arrival.")
    hops: list[HopOut] = Field(description="The servers that it passed, the first one first; at most 20.")
    lost_at: datetime | None = Field(description="When it was called lost; also of one that arrived late.")
    why: str | None = Field(description="Why it was called lost: how far it came.")


class MailTimesOut(OutModel):
    """How long canary mails took in the last 30 days."""

    average_s: float = Field(description="The mean, in seconds.")
    slowest_s: float = Field(description="The slowest, in seconds.")
    arrived: int = Field(description="How many arrived.")
    lost: int = Field(description="How many did not.")

    @classmethod
    def of_transport(cls, times: MailTimes | None) -> Self | None:
        """Return the times, or None if no canary arrived or was lost."""
        return None if times is None else cls.of(times)


class CanariesSent(BaseModel):
    """The canary mails that were sent just now: one by each transport, and by each relay."""

    items: list[CanaryOut] = Field(
        description="The canary mails; none where no way is set up or every relay is in trouble."
    )


class CanaryPage(PageOut[CanaryOut]):
    """A page of canary mails."""


class CanariesQuery(PagedByTime):
    """Filters of the list of canary mails."""

    transport: str | None = Field(None, max_length=12, description="Only of this transport.")
    relay_id: Id | None = Field(None, description="Only of this relay.")
    state: CanaryState | None = Field(None, description="Only in this state.")


@router.get("", operation_id="list_canaries", summary="List canary mails", responses=problems())
async def list_canaries(query: Annotated[CanariesQuery, Query()], context: Context, _caller: Reader) -> CanaryPage:
    """Return the canary mails that were sent, newest first."""
    async with context.database.read() as tx:
        page = await page_canaries(
            tx,
            query.window(CANARIES.prefix),
            transport=query.transport,
            relay_id=query.relay_id,
            state=query.state,
        )
    return CanaryPage.of(page)


@router.post(
    ":send",
    operation_id="send_canaries",
    summary="Send canary mails now",
    status_code=HTTP_202_ACCEPTED,
    responses=problems(409),
)
async def send_canaries(context: Context, caller: Admin) -> CanariesSent:
    """Send a canary mail by each transport and each relay now, for example after a repair. The daily ones are sent as usual."""
    sent = await send_now(context)
    async with context.database.write() as tx:
        by = editor_of(context, caller)
        for canary in sent:
            await note(tx, by, "send", CANARIES.noun, canary.id, {"way": canary.name})
    return CanariesSent(items=[CanaryOut.of(canary) for canary in sent])


@router.get("/{canary_id}", operation_id="get_canary", summary="Get a canary mail", responses=problems(404))
async def get_canary(canary_id: PathId, context: Context, _caller: Reader) -> CanaryOut:
    """Return one canary mail."""
    async with context.database.read() as tx:
        return CanaryOut.of(await CANARIES.get(tx, canary_id))
