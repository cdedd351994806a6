"""Notices over HTTP: each decision to tell somebody something, or not to, with its reason."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.domain.notice import NoticeKind, NoticeState
from app.http.api.fields import Id
from app.http.api.readable import Readable, add_get, add_list
from app.http.paging import PagedByTime
from app.store.history import NOTICES


class Notice(BaseModel):
    """A notice."""

    id: str
    customer_id: str | None
    recipient_id: str | None = Field(description="Null where no route led to anybody.")
    route_id: str | None
    alert_id: str | None
    summary_id: str | None
    what: NoticeKind
    state: NoticeState = Field(
        description="waiting: to be worded; muted: held by a silence; suppressed: not told, see reason."
    )
    reason: str = Field(description="Why it exists, or why it is not told.")
    due_at: datetime
    repeat_at: datetime | None
    message_id: str | None = Field(description="The message that tells it.")
    created_at: datetime


class NoticesQuery(PagedByTime):
    """What the list can be asked; the newest come first."""

    customer_id: Id | None = None
    recipient_id: Id | None = None
    route_id: Id | None = None
    alert_id: Id | None = None
    message_id: Id | None = None
    summary_id: Id | None = None
    what: NoticeKind | None = None
    state: NoticeState | None = None


router = APIRouter(prefix="/v1/notices", tags=["notices"])
_notices = Readable("notices", "notice", NOTICES, NoticesQuery, Notice, Notice)
add_list(router, _notices)
add_get(router, _notices)
