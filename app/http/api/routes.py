"""Routes over HTTP: which alerts go to whom, grouped and repeated how."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from app.admin import routes
from app.http.api.editable import Editable, router_of
from app.http.api.fields import YEAR_S, CustomerId, Id, MatcherModel, Matchers, Name, Position, Shown, StrictModel
from app.http.paging import Paged

_DAY_S = 86400


def _once_each(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


Recipients = Annotated[
    list[Id], Field(min_length=1, max_length=50, description="Ids of recipients."), AfterValidator(_once_each)
]
GroupField = Annotated[
    str, StringConstraints(pattern=r"^(customer|agent|job|kind|activity|label:[^\x00-\x1f\x7f]{1,100})$")
]


class RouteIn(StrictModel):
    """A route as it is given."""

    name: Name = Field(examples=["acme nights"])
    customer_id: CustomerId = None
    position: Position = 100
    enabled: bool = True
    matchers: Matchers = Field(default_factory=list)
    recipients: Recipients
    group_by: Annotated[list[GroupField], AfterValidator(_once_each)] = Field(
        default_factory=lambda: ["customer"],
        max_length=10,
        description="Alerts that agree in these fields are told together: customer, agent, job, kind, activity or `label:NAME`.",
    )
    group_wait_s: int = Field(
        0, ge=0, le=_DAY_S, description="Seconds that the first alert of a group waits for others."
    )
    group_interval_s: int = Field(300, ge=0, le=_DAY_S, description="Seconds between two messages of one group.")
    repeat_every_s: int | None = Field(
        None,
        ge=60,
        le=YEAR_S,
        description="Seconds after which an alert that is still open is told again; null: once only. A change holds for alerts that are open too.",
    )
    send_recovery: bool = Field(True, description="Whether the recovery is told too.")
    goes_on: bool = Field(False, description="Whether routes after this one are asked as well.")


class Route(Shown):
    """A route."""

    name: str
    customer_id: str | None
    position: int
    enabled: bool
    matchers: list[MatcherModel]
    recipients: list[str]
    group_by: list[str]
    group_wait_s: int
    group_interval_s: int
    repeat_every_s: int | None
    send_recovery: bool
    goes_on: bool
    created_at: datetime


class RoutesQuery(Paged):
    """What the list can be asked."""

    customer_id: Id | None = None
    name: Name | None = None
    enabled: bool | None = None


router = router_of(
    Editable(
        path="routes",
        noun=routes.NOUN,
        query=RoutesQuery,
        given=RouteIn,
        edit=RouteIn,
        shown=Route,
        deletion="Deletes it. Alerts that only it led to somebody then reach nobody: `tocsin doctor` says so.",
    )
)
