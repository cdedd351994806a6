"""Silences over HTTP: one-off mutes that end by themselves."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, Field
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from app.admin import silences as admin_silences
from app.core.errors import BadInput, NotFound, WrongScope
from app.core.ids import new_id
from app.domain.person import Role
from app.domain.route import Silence
from app.http.api.dependencies import Context, ScopedOperator, ScopedReader, editor_of, problems
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
from app.http.api.scoped_query import narrowed, seen
from app.http.auth import Caller
from app.http.etag import IfMatch, put_etag
from app.http.paging import PagedByTime, PageOut
from app.store.routing import SILENCES, SilenceState, page_silences
from app.store.transactions import WriteTx

router = APIRouter(prefix="/v1/silences", tags=["silences"])

OPERATOR_LONGEST = timedelta(days=7)  # the longest that the pages offer to an operator

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
async def list_silences(
    query: Annotated[SilencesQuery, Query()], context: Context, caller: ScopedReader
) -> SilencePage:
    """Return silences newest first. A key of chosen customers sees only those that are for them alone."""
    query = narrowed(query, caller)
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
async def get_silence(silence_id: PathId, response: Response, context: Context, caller: ScopedReader) -> SilenceOut:
    """Return one silence."""
    async with context.database.read() as tx:
        silence = seen(await SILENCES.get(tx, silence_id), "silence", caller)
    put_etag(response, silence.version)
    return SilenceOut.of(silence)


@router.post(
    "", operation_id="create_silence", summary="Create a silence", status_code=HTTP_201_CREATED, responses=problems(409)
)
async def create_silence(
    body: SilenceCreate, response: Response, context: Context, caller: ScopedOperator
) -> SilenceOut:
    """Add a silence: what it matches is not sent until it ends.

    A key with the role operator silences one agent, or one job of it, for seven days at most, as operators do on the pages. A key of
    chosen customers names one of them.
    """
    async with context.database.write() as tx:
        by = editor_of(context, caller)
        silence = body.to_silence(new_id("sil"), by.at, by.who)
        _check_reach(silence, caller, by.at)
        silence = await admin_silences.create_silence(tx, silence, by)
    response.headers["Location"] = f"/v1/silences/{silence.id}"
    put_etag(response, silence.version)
    return SilenceOut.of(silence)


@router.patch(
    "/{silence_id}", operation_id="update_silence", summary="Update a silence", responses=problems(404, 409, 412)
)
async def update_silence(
    silence_id: PathId,
    body: SilenceUpdate,
    response: Response,
    context: Context,
    caller: ScopedOperator,
    versions: IfMatch,
) -> SilenceOut:
    """Replace the fields that are sent; the others stay as they are."""
    async with context.database.write() as tx:
        by = editor_of(context, caller, body.model_fields_set)
        await _check_seen(tx, silence_id, caller)

        def edit(silence: Silence) -> Silence:
            after = body.applied_to(silence, by.at)
            _check_reach(after, caller, by.at)
            return after

        silence = await admin_silences.update_silence(tx, silence_id, edit, by, versions=versions)
    put_etag(response, silence.version)
    return SilenceOut.of(silence)


@router.delete(
    "/{silence_id}",
    operation_id="delete_silence",
    summary="End a silence",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 412),
)
async def delete_silence(silence_id: PathId, context: Context, caller: ScopedOperator, versions: IfMatch) -> None:
    """End a silence now and keep it listed, so that what it muted stays explained."""
    async with context.database.write() as tx:
        await _check_seen(tx, silence_id, caller)
        await admin_silences.delete_silence(tx, silence_id, editor_of(context, caller), versions=versions)


async def _check_seen(tx: WriteTx, silence_id: str, caller: Caller) -> None:
    """Raise NotFound for a silence of a customer that the key may not see, before its version or state could tell that it exists."""
    if caller.customers is None:
        return
    row = await SILENCES.find_row(tx, silence_id)
    owner = None if row is None else row.values["customer_id"]
    if not caller.sees(owner if isinstance(owner, str) else None):
        raise NotFound(f"there is no silence {silence_id}")


def _check_reach(silence: Silence, caller: Caller, now: datetime) -> None:
    """Raise BadInput for a silence beyond the customers of a key, and WrongScope for one that needs an administrator.

    A wide or long silence keeps failures from everybody: an operator mutes what he has before him.
    """
    if silence.customer_id is None and caller.customers is not None:
        raise BadInput("this key is for chosen customers: name one of them", field="customer_id")
    if not caller.sees(silence.customer_id):  # in the words of a customer that does not exist
        raise BadInput(f"there is no customer {silence.customer_id}", code="unknown_customer", field="customer_id")
    is_short = silence.ends_at - now <= OPERATOR_LONGEST
    if not (is_short and silence.is_about_one) and not caller.has_role(Role.ADMINISTRATOR):
        raise WrongScope(
            "the role operator silences one agent of a customer, or one job of it, named by `is`, for seven days at most;"
            " this needs the role administrator"
        )
