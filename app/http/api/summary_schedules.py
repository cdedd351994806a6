"""Summary schedules over HTTP: when a summary goes to whom; a preview of the next one, and one at once."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import BaseModel, Field
from starlette.status import HTTP_201_CREATED, HTTP_202_ACCEPTED, HTTP_204_NO_CONTENT

from app.admin import summary_schedules as admin_summary_schedules
from app.compose import summary_mail, webhook_body
from app.core.errors import NotFound
from app.core.ids import new_id
from app.decide import summaries
from app.domain.calendar import Frequency, whole_period_until
from app.domain.summary_schedule import SummarySchedule
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.fields import (
    CreatedAt,
    CustomerId,
    Matchers,
    Name,
    OnlyCustomer,
    OnlyEnabled,
    OnlyName,
    OutCustomerId,
    OutId,
    OutMatchers,
    OutModel,
    OutName,
    OutRecipients,
    PathId,
    Recipients,
    StrictModel,
    Version,
    Zone,
    example,
    left_out,
    merged,
    to_matchers,
)
from app.http.etag import IfMatch, put_etag
from app.http.paging import Paged, PageOut
from app.store.summaries import SUMMARY_SCHEDULES, page_summary_schedules
from app.store.summary_views import read_summary_view

router = APIRouter(prefix="/v1/summary-schedules", tags=["summary-schedules"])

_ZONE = "IANA time zone of the hour."

ScheduleName = Annotated[Name, Field(description="Its name, unique among schedules.", examples=["every morning"])]
ScheduleEnabled = Annotated[bool, Field(description="Whether summaries are sent.")]
Every = Annotated[Frequency, Field(description="How often a summary is sent.")]
Hour = Annotated[int, Field(ge=0, le=23, description="The hour at which it is sent.")]
Minute = Annotated[int, Field(ge=0, le=59, description="The minute at which it is sent.")]
Weekday = Annotated[int, Field(ge=1, le=7, description="For weekly ones: 1 is Monday, 7 Sunday.")]
MonthDay = Annotated[int, Field(ge=1, le=28, description="For monthly ones: the day of the month.")]
ScheduleZone = Annotated[Zone, Field(description=_ZONE)]


class SummaryScheduleCreate(
    StrictModel,
    json_schema_extra=example(
        name="every morning",
        every="day",
        hour=7,
        time_zone="Europe/Berlin",
        recipients=["rcp_0193a5f2c4d10123456789abcdef0123"],
    ),
):
    """A summary schedule to create."""

    name: ScheduleName
    customer_id: CustomerId = None
    enabled: ScheduleEnabled = True
    every: Every = Frequency.DAY
    hour: Hour = 7
    minute: Minute = 0
    weekday: Weekday = 1
    month_day: MonthDay = 1
    time_zone: ScheduleZone = "UTC"
    matchers: Matchers = Field(default_factory=list)
    recipients: Recipients

    def to_summary_schedule(self, schedule_id: str, at: datetime) -> SummarySchedule:
        """Return the schedule, created at `at`."""
        return SummarySchedule(
            id=schedule_id,
            name=self.name,
            recipients=tuple(self.recipients),
            created_at=at,
            customer_id=self.customer_id,
            enabled=self.enabled,
            every=self.every,
            hour=self.hour,
            minute=self.minute,
            weekday=self.weekday,
            month_day=self.month_day,
            time_zone=self.time_zone,
            matchers=to_matchers(self.matchers),
        )


class SummaryScheduleUpdate(StrictModel, json_schema_extra=example(every="week", weekday=1, hour=6)):
    """The fields of a summary schedule to change; a field that is left out stays as it is."""

    name: ScheduleName = left_out()
    customer_id: CustomerId = left_out()
    enabled: ScheduleEnabled = left_out()
    every: Every = left_out()
    hour: Hour = left_out()
    minute: Minute = left_out()
    weekday: Weekday = left_out()
    month_day: MonthDay = left_out()
    time_zone: ScheduleZone = left_out()
    matchers: Matchers = left_out()
    recipients: Recipients = left_out()

    def applied_to(self, schedule: SummarySchedule) -> SummarySchedule:
        """Return the schedule with the fields that were sent. Raises RequestValidationError."""
        whole = merged(SummaryScheduleCreate, SummaryScheduleOut.of(schedule), self)
        return replace(
            whole.to_summary_schedule(schedule.id, schedule.created_at),
            next_at=schedule.next_at,
            last_number=schedule.last_number,
            version=schedule.version,
        )


class SummaryScheduleOut(OutModel):
    """A summary schedule."""

    id: OutId
    version: Version
    name: OutName
    customer_id: OutCustomerId
    enabled: ScheduleEnabled
    every: Every
    hour: Hour
    minute: Minute
    weekday: Weekday
    month_day: MonthDay
    time_zone: str = Field(description=_ZONE)
    matchers: OutMatchers
    recipients: OutRecipients
    next_at: datetime | None = Field(description="When the next summary is due; null: it is disabled.")
    last_number: int = Field(description="The running number of its newest summary.")
    created_at: CreatedAt


class SummarySchedulePage(PageOut[SummaryScheduleOut]):
    """A page of summary schedules."""


class SummarySchedulesQuery(Paged):
    """Filters of the list of summary schedules."""

    customer_id: OnlyCustomer = None
    name: OnlyName = None
    enabled: OnlyEnabled = None


class SummarySent(BaseModel):
    """The summary that was made. Its notices are at `/v1/notices?summary_id=`."""

    summary_id: str = Field(description="Its id.")


@router.get(
    "/{summary_schedule_id}:preview",
    operation_id="preview_summary",
    summary="Preview a summary",
    response_class=Response,
    responses=problems(404)
    | {
        200: {
            "description": "The summary, in the form that was asked for.",
            "content": {
                "text/html": {"schema": {"type": "string"}},
                "text/plain": {"schema": {"type": "string"}},
                "application/json": {"schema": {"type": "object"}},
            },
        }
    },
)
async def preview_summary(
    summary_schedule_id: PathId,
    context: Context,
    _caller: Reader,
    form: Annotated[
        Literal["html", "text", "json"],
        Query(description="Which form of the summary: a page, plain text, or a webhook's JSON."),
    ] = "html",
) -> Response:
    """Return the summary as it would be sent now, and send nothing."""
    now, base_url = context.clock(), context.settings.public_url
    async with context.database.read() as tx:
        schedule = await SUMMARY_SCHEDULES.get(tx, summary_schedule_id)
        start = whole_period_until(schedule.recurrence, now)
        view = await read_summary_view(tx, schedule, number=schedule.last_number + 1, start=start, end=now)
    if form == "json":
        return Response(webhook_body.render_summary(view, base_url=base_url), media_type="application/json")
    mail = summary_mail.render(view, base_url=base_url)
    if form == "text":
        return PlainTextResponse(f"Subject: {mail.subject}\n\n{mail.text}")
    # The page has its styles inline; nothing else may be loaded or run.
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
    return HTMLResponse(mail.html, headers={"Content-Security-Policy": policy})


@router.post(
    "/{summary_schedule_id}:send-now",
    operation_id="send_summary",
    summary="Send a summary now",
    status_code=HTTP_202_ACCEPTED,
    responses=problems(404),
)
async def send_summary(summary_schedule_id: PathId, context: Context, caller: Admin) -> SummarySent:
    """Make a summary up to now and send it to the schedule's recipients. The regular one is sent all the same."""
    async with context.database.write() as tx:
        by = editor_of(context, caller)
        summary_id = await summaries.make_now(tx, summary_schedule_id, by.at)
        if summary_id is None:
            raise NotFound(f"there is no summary schedule {summary_schedule_id}")
        await admin_summary_schedules.note_summary_sent(tx, summary_schedule_id, summary_id, by)
    return SummarySent(summary_id=summary_id)


@router.get("", operation_id="list_summary_schedules", summary="List summary schedules", responses=problems())
async def list_summary_schedules(
    query: Annotated[SummarySchedulesQuery, Query()], context: Context, _caller: Reader
) -> SummarySchedulePage:
    """Return summary schedules in the order of their creation."""
    async with context.database.read() as tx:
        page = await page_summary_schedules(
            tx,
            query.window(SUMMARY_SCHEDULES.prefix),
            customer_id=query.customer_id,
            name=query.name,
            enabled=query.enabled,
        )
    return SummarySchedulePage.of(page)


@router.get(
    "/{summary_schedule_id}",
    operation_id="get_summary_schedule",
    summary="Get a summary schedule",
    responses=problems(404, 409),
)
async def get_summary_schedule(
    summary_schedule_id: PathId, response: Response, context: Context, _caller: Reader
) -> SummaryScheduleOut:
    """Return one summary schedule."""
    async with context.database.read() as tx:
        schedule = await SUMMARY_SCHEDULES.get(tx, summary_schedule_id)
    put_etag(response, schedule.version)
    return SummaryScheduleOut.of(schedule)


@router.post(
    "",
    operation_id="create_summary_schedule",
    summary="Create a summary schedule",
    status_code=HTTP_201_CREATED,
    responses=problems(409),
)
async def create_summary_schedule(
    body: SummaryScheduleCreate, response: Response, context: Context, caller: Admin
) -> SummaryScheduleOut:
    """Add a schedule by which summaries of the matching jobs are sent."""
    async with context.database.write() as tx:
        by = editor_of(context, caller)
        wanted = body.to_summary_schedule(new_id("sch"), by.at)
        schedule = await admin_summary_schedules.create_summary_schedule(tx, wanted, by)
    response.headers["Location"] = f"/v1/summary-schedules/{schedule.id}"
    put_etag(response, schedule.version)
    return SummaryScheduleOut.of(schedule)


@router.patch(
    "/{summary_schedule_id}",
    operation_id="update_summary_schedule",
    summary="Update a summary schedule",
    responses=problems(404, 409, 412),
)
async def update_summary_schedule(
    summary_schedule_id: PathId,
    body: SummaryScheduleUpdate,
    response: Response,
    context: Context,
    caller: Admin,
    versions: IfMatch,
) -> SummaryScheduleOut:
    """Replace the fields that are sent; the others stay as they are. New times move the next summary."""
    async with context.database.write() as tx:
        by = editor_of(context, caller, body.model_fields_set)
        schedule = await admin_summary_schedules.update_summary_schedule(
            tx, summary_schedule_id, body.applied_to, by, versions=versions
        )
    put_etag(response, schedule.version)
    return SummaryScheduleOut.of(schedule)


@router.delete(
    "/{summary_schedule_id}",
    operation_id="delete_summary_schedule",
    summary="Delete a summary schedule",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 412),
)
async def delete_summary_schedule(
    summary_schedule_id: PathId, context: Context, caller: Admin, versions: IfMatch
) -> None:
    """Delete a summary schedule with its summaries; those that were sent stay in the list of messages."""
    async with context.database.write() as tx:
        by = editor_of(context, caller)
        await admin_summary_schedules.delete_summary_schedule(tx, summary_schedule_id, by, versions=versions)
