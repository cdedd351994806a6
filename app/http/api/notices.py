"""Notices over HTTP: each decision to send a recipient something, or not to, with its reason."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from app.domain.notice import NoticeKind, NoticeState
from app.http.api.dependencies import Context, ScopedReader, problems
from app.http.api.fields import Id, OutId, OutModel, PathId
from app.http.api.scoped_query import ScopedQuery, narrowed, seen
from app.http.paging import PageOut
from app.store.notices import NOTICES, NoticeFilters, page_notices

router = APIRouter(prefix="/v1/notices", tags=["notices"])


class NoticeOut(OutModel):
    """A notice: the decision to send one recipient one thing, or not to."""

    id: OutId
    customer_id: str | None = Field(description="The customer it is about; null for a summary over all customers.")
    recipient_id: str | None = Field(description="Who is notified; null where no route led to a recipient.")
    route_id: str | None = Field(description="The route that led to the recipient.")
    alert_id: str | None = Field(description="The alert that it reports.")
    summary_id: str | None = Field(description="The summary that it reports.")
    what: NoticeKind = Field(description="What it reports: an alert that opened, repeated or recovered, or a summary.")
    state: NoticeState = Field(
        description="`waiting`: no message was made of it yet. `muted`: a silence holds it back. "
        "`worded`: a message was made of it. `suppressed`: it is not sent, see `reason`."
    )
    reason: str = Field(description="Why it exists, or why it is not sent.")
    due_at: datetime = Field(description="When a message is made of it; of a muted one, when it is decided on again.")
    repeat_at: datetime | None = Field(description="When it is repeated if the alert is still open then.")
    message_id: str | None = Field(description="The message that was made of it.")
    created_at: datetime = Field(description="When it was decided.")


class NoticePage(PageOut[NoticeOut]):
    """A page of notices."""


class NoticesQuery(ScopedQuery):
    """Filters of the list of notices. Those about a summary belong to no agent and no job."""

    recipient_id: Annotated[Id | None, Field(description="Only those for this recipient.")] = None
    route_id: Annotated[Id | None, Field(description="Only those of this route.")] = None
    alert_id: Annotated[Id | None, Field(description="Only those of this alert.")] = None
    message_id: Annotated[Id | None, Field(description="Only those that this message was made of.")] = None
    summary_id: Annotated[Id | None, Field(description="Only those of this summary.")] = None
    what: Annotated[NoticeKind | None, Field(description="Only those that report this.")] = None
    state: Annotated[NoticeState | None, Field(description="Only those in this state.")] = None

    def filters(self) -> NoticeFilters:
        """Return the filters for the store."""
        return NoticeFilters(
            self.scope(),
            recipient_id=self.recipient_id,
            route_id=self.route_id,
            alert_id=self.alert_id,
            message_id=self.message_id,
            summary_id=self.summary_id,
            what=self.what,
            state=self.state,
        )


@router.get("", operation_id="list_notices", summary="List notices", responses=problems())
async def list_notices(query: Annotated[NoticesQuery, Query()], context: Context, caller: ScopedReader) -> NoticePage:
    """Return notices, the newest first."""
    async with context.database.read() as tx:
        page = await page_notices(tx, narrowed(query, caller).filters(), query.window(NOTICES.prefix))
    return NoticePage.of(page)


@router.get("/{notice_id}", operation_id="get_notice", summary="Get a notice", responses=problems(404))
async def get_notice(notice_id: PathId, context: Context, caller: ScopedReader) -> NoticeOut:
    """Return one notice."""
    async with context.database.read() as tx:
        return NoticeOut.of(seen(await NOTICES.get(tx, notice_id), "notice", caller))
