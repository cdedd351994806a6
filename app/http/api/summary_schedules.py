"""Summary schedules over HTTP: when a summary goes to whom; a look at one before, and one at once."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import BaseModel, Field
from starlette.status import HTTP_202_ACCEPTED

from app.admin import summary_schedules
from app.admin.audit import note
from app.compose import summary_mail, webhook_body
from app.core.errors import NotFound
from app.decide import summaries
from app.domain.calendar import Frequency, whole_period_until
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.editable import Editable, add_to
from app.http.api.fields import CustomerId, Id, MatcherModel, Matchers, Name, PathId, Shown, StrictModel, Zone
from app.http.api.routes import Recipients
from app.http.paging import Paged
from app.store.summaries import find_schedule
from app.store.summary_view import summary_story


class SummaryScheduleIn(StrictModel):
    """A summary schedule as it is given."""

    name: Name = Field(examples=["every morning"])
    customer_id: CustomerId = None
    enabled: bool = True
    every: Frequency = Frequency.DAY
    hour: int = Field(7, ge=0, le=23)
    minute: int = Field(0, ge=0, le=59)
    weekday: int = Field(1, ge=1, le=7, description="For weekly ones: 1 is Monday, 7 Sunday.")
    month_day: int = Field(1, ge=1, le=28, description="For monthly ones.")
    time_zone: Zone = "UTC"
    matchers: Matchers = Field(default_factory=list)
    recipients: Recipients


class SummarySchedule(Shown):
    """A summary schedule."""

    name: str
    customer_id: str | None
    enabled: bool
    every: Frequency
    hour: int
    minute: int
    weekday: int
    month_day: int
    time_zone: str
    matchers: list[MatcherModel]
    recipients: list[str]
    next_at: datetime | None
    last_number: int = Field(description="The running number of its newest summary.")
    created_at: datetime


class SummarySchedulesQuery(Paged):
    """What the list can be asked."""

    customer_id: Id | None = None
    name: Name | None = None
    enabled: bool | None = None


class SentNow(BaseModel):
    """The summary that was made. Its notices are at /v1/notices?summary_id=."""

    summary_id: str


router = APIRouter(prefix="/v1/summary-schedules", tags=["summary-schedules"])


@router.get(
    "/{thing_id}:preview",
    summary="Look at a summary as it would be now",
    response_class=Response,
    responses=problems(404) | {200: {"content": {"text/html": {}, "text/plain": {}, "application/json": {}}}},
)
async def preview_summary(
    thing_id: PathId, context: Context, _caller: Reader, form: Literal["html", "text", "json"] = "html"
) -> Response:
    """Word it as it would be sent now, and send nothing."""
    now, base_url = context.clock(), context.settings.public_url
    async with context.database.read() as tx:
        schedule = await find_schedule(tx, thing_id)
        if schedule is None:
            raise NotFound(f"there is no summary schedule {thing_id}")
        start = whole_period_until(schedule.recurrence, now)
        story = await summary_story(tx, schedule, number=schedule.last_number + 1, start=start, end=now)
    if form == "json":
        return Response(webhook_body.word_summary(story, base_url=base_url), media_type="application/json")
    letter = summary_mail.word(story, base_url=base_url)
    if form == "text":
        return PlainTextResponse(f"Subject: {letter.subject}\n\n{letter.text}")
    # Styles stand in the page itself; nothing else may load or run.
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
    return HTMLResponse(letter.html, headers={"Content-Security-Policy": policy})


@router.post(
    "/{thing_id}:send-now", summary="Send a summary now", status_code=HTTP_202_ACCEPTED, responses=problems(404)
)
async def send_summary_now(thing_id: PathId, context: Context, caller: Admin) -> SentNow:
    """Make a summary up to now and send it to the schedule's recipients. The regular one comes all the same."""
    by = editor_of(context, caller)
    async with context.database.write() as tx:
        summary_id = await summaries.make_now(tx, thing_id, by.at)
        if summary_id is None:
            raise NotFound(f"there is no summary schedule {thing_id}")
        await note(tx, by.who, by.at, "send", "summary schedule", thing_id, {"summary_id": summary_id})
        tx.after_commit(lambda: by.wake("notices"))
    return SentNow(summary_id=summary_id)


add_to(
    router,
    Editable(
        path="summary-schedules",
        noun=summary_schedules.NOUN,
        query=SummarySchedulesQuery,
        given=SummaryScheduleIn,
        edit=SummaryScheduleIn,
        shown=SummarySchedule,
    ),
)
