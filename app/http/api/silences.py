"""Silences over HTTP: one-off mutes that end by themselves."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from app.admin import silences
from app.http.api.editable import Editable, router_of
from app.http.api.fields import CustomerId, Id, MatcherModel, Name, Shown, StrictModel, Words
from app.http.paging import PagedByTime


class SilenceIn(StrictModel):
    """A silence as it is given."""

    customer_id: CustomerId = None
    matchers: Annotated[list[MatcherModel], Field(min_length=1, max_length=50)] = Field(
        description="All of them must be met. At least one: a silence over everything must be said, as job like *."
    )
    starts_at: AwareDatetime | None = Field(None, description="RFC 3339 with offset; left out: now.")
    ends_at: AwareDatetime = Field(description="After its start, and one year later at most.")
    comment: Words = Field(examples=["new tape library, until Friday"])


class Silence(Shown):
    """A silence."""

    customer_id: str | None
    matchers: list[MatcherModel]
    starts_at: datetime
    ends_at: datetime
    comment: str
    created_by: str
    created_at: datetime


class SilencesQuery(PagedByTime):
    """What the list can be asked; the newest come first."""

    customer_id: Id | None = None
    created_by: Name | None = None
    state: Literal["current", "coming", "ended"] | None = None


def _with_moment(query: SilencesQuery, now: datetime) -> dict[str, Any]:
    return {} if query.state is None else {"state": (query.state, now)}


router = router_of(
    Editable(
        path="silences",
        noun=silences.NOUN,
        query=SilencesQuery,
        given=SilenceIn,
        edit=SilenceIn,
        shown=Silence,
        deletion="Ends it now and keeps it listed, so that what it muted stays explained.",
        filters=_with_moment,
    )
)
