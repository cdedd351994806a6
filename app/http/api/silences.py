"""Silences over HTTP: one-off mutes that end by themselves."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, Field
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from app.admin import silences as admin_silences
from app.core.ids import new_id
from app.domain.route import Silence
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.fields import (
    CreatedAt,
    CustomerId,
    MatcherIn,
    Name,
    OnlyCustomer,
    OutCustomerId,
    OutId,
    OutMatchers,
    OutModel,
    PathId,
    StrictModel,
    Version,
    Words,
    example,
    left_out,
    merged,
    to_matchers,
)
from app.http.etag import IfMatch, put_etag
from app.http.paging import PagedByTime, PageOut
from app.store.silences import SILENCES, SilenceState, page_silences

router = APIRouter(prefix="/v1/silences", tags=["silences"])

_STARTS = "When it begins, RFC 3339 with offset; null or left out: now."
_ENDS = "When it ends, RFC 3339 with offset: after its start, and one year later at most."
_COMMENT = "Why it was made."

SilenceMatchers = Annotated[
    list[MatcherIn],
    Field(
        min_length=1,
        max_length=50,
        description="All of them must be met. At least one: to mute everything, send job like `*`.",
    ),
]
StartsAt = Annotated[AwareDatetime | None, Field(description=_STARTS)]
EndsAt = Annotated[AwareDatetime, Field(description=_ENDS)]
UntilFixed = Annotated[
    bool,
    Field(
        description="Whether it ends before `ends_at`: once an event has closed the last open alert of what it mutes. Needs a"
        " customer and matchers that name one agent, or one job of it, by `is`."
    ),
]
SilenceComment = Annotated[Words, Field(description=_COMMENT, examples=["new tape library, until Friday"])]


class SilenceCreate(
    StrictModel,
    json_schema_extra=example(
        matchers=[{"field": "agent", "test": "is", "value": "sql01"}],
        ends_at="2027-01-08T18:00:00+01:00",
        comment="new tape library, until Friday",
    ),
):
    """A silence to create."""

    customer_id: CustomerId = None
    matchers: SilenceMatchers
    starts_at: StartsAt = None
    ends_at: EndsAt
    comment: SilenceComment
    until_fixed: UntilFixed = False

    def to_silence(self, silence_id: str, at: datetime, who: str) -> Silence:
        """Return the silence, created by `who` at `at`."""
        return Silence(
            id=silence_id,
            matchers=to_matchers(self.matchers),
            starts_at=self.starts_at or at,
            ends_at=self.ends_at,
            comment=self.comment,
            created_by=who,
            customer_id=self.customer_id,
            until_fixed=self.until_fixed,
            created_at=at,
        )


class SilenceUpdate(StrictModel, json_schema_extra=example(ends_at="2027-01-09T18:00:00+01:00")):
    """The fields of a silence to change; a field that is left out stays as it is."""

    customer_id: CustomerId = left_out()
    matchers: SilenceMatchers = left_out()
    starts_at: StartsAt = left_out()
    ends_at: EndsAt = left_out()
    comment: SilenceComment = left_out()
    until_fixed: UntilFixed = left_out()

    def applied_to(self, silence: Silence, now: datetime) -> Silence:
        """Return the silence with the fields that were sent. Raises RequestValidationError."""
        whole = merged(SilenceCreate, SilenceOut.of(silence), self)
        return replace(
            whole.to_silence(silence.id, now, silence.created_by),
            created_at=silence.created_at,
            version=silence.version,
        )


class SilenceOut(OutModel):
    """A silence."""

    id: OutId
    version: Version
    customer_id: OutCustomerId
    matchers: OutMatchers
    starts_at: datetime = Field(description="When it begins.")
    ends_at: datetime = Field(description="When it ends.")
    comment: str = Field(description=_COMMENT)
    until_fixed: UntilFixed
    created_by: str = Field(description="The name of the key or the person that created it.")
    created_at: CreatedAt


class SilencePage(PageOut[SilenceOut]):
    """A page of silences."""


class SilencesQuery(PagedByTime):
    """Filters of the list of silences."""

    customer_id: OnlyCustomer = None
    created_by: Annotated[Name | None, Field(description="Only those created with the key of this name.")] = None
    state: Annotated[
        SilenceState | None, Field(description="Only those that are in force, still to come, or over.")
    ] = None


@router.get("", operation_id="list_silences", summary="List silences", responses=problems())
async def list_silences(query: Annotated[SilencesQuery, Query()], context: Context, _caller: Reader) -> SilencePage:
    """Return silences newest first."""
    async with context.database.read() as tx:
        page = await page_silences(
            tx,
            query.window(SILENCES.prefix),
            context.clock(),
            customer_id=query.customer_id,
            created_by=query.created_by,
            state=query.state,
        )
    return SilencePage.of(page)


@router.get("/{silence_id}", operation_id="get_silence", summary="Get a silence", responses=problems(404, 409))
async def get_silence(silence_id: PathId, response: Response, context: Context, _caller: Reader) -> SilenceOut:
    """Return one silence."""
    async with context.database.read() as tx:
        silence = await SILENCES.get(tx, silence_id)
    put_etag(response, silence.version)
    return SilenceOut.of(silence)


@router.post(
    "", operation_id="create_silence", summary="Create a silence", status_code=HTTP_201_CREATED, responses=problems(409)
)
async def create_silence(body: SilenceCreate, response: Response, context: Context, caller: Admin) -> SilenceOut:
    """Add a silence: what it matches is not sent until it ends."""
    async with context.database.write() as tx:
        by = editor_of(context, caller)
        silence = await admin_silences.create_silence(tx, body.to_silence(new_id("sil"), by.at, by.who), by)
    response.headers["Location"] = f"/v1/silences/{silence.id}"
    put_etag(response, silence.version)
    return SilenceOut.of(silence)


@router.patch(
    "/{silence_id}", operation_id="update_silence", summary="Update a silence", responses=problems(404, 409, 412)
)
async def update_silence(
    silence_id: PathId, body: SilenceUpdate, response: Response, context: Context, caller: Admin, versions: IfMatch
) -> SilenceOut:
    """Replace the fields that are sent; the others stay as they are."""
    async with context.database.write() as tx:
        by = editor_of(context, caller, body.model_fields_set)
        silence = await admin_silences.update_silence(
            tx, silence_id, lambda silence: body.applied_to(silence, by.at), by, versions=versions
        )
    put_etag(response, silence.version)
    return SilenceOut.of(silence)


@router.delete(
    "/{silence_id}",
    operation_id="delete_silence",
    summary="End a silence",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 412),
)
async def delete_silence(silence_id: PathId, context: Context, caller: Admin, versions: IfMatch) -> None:
    """End a silence now and keep it listed, so that what it muted stays explained."""
    async with context.database.write() as tx:
        await admin_silences.delete_silence(tx, silence_id, editor_of(context, caller), versions=versions)
