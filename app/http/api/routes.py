"""Routes over HTTP: which alerts go to whom, how they are grouped, and when they are repeated."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, Field, StringConstraints
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from app.admin import routes as admin_routes
from app.core.ids import new_id
from app.domain.route import Route
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.fields import (
    YEAR_S,
    CreatedAt,
    CustomerId,
    Matchers,
    Name,
    OnlyCustomer,
    OnlyEnabled,
    OnlyName,
    OptionalSeconds,
    OutCustomerId,
    OutId,
    OutMatchers,
    OutModel,
    OutName,
    OutPosition,
    OutRecipients,
    PathId,
    Position,
    Recipients,
    Seconds,
    StrictModel,
    Version,
    example,
    left_out,
    merged,
    once_each,
    seconds_or_none,
    to_matchers,
)
from app.http.etag import IfMatch, put_etag
from app.http.paging import Paged, PageOut
from app.store.routing import ROUTES, page_routes

router = APIRouter(prefix="/v1/routes", tags=["routes"])

_DAY_S = 86400
_GROUP_BY = "Alerts that agree in these fields are sent together: customer, agent, job, kind, activity or `label:NAME`."
_GROUP_WAIT = "Seconds that the first alert of a group waits for others."
_GROUP_INTERVAL = "Seconds between two messages of one group."
_REPEAT_EVERY = "Seconds after which an alert that is still open is sent again; null: it is sent once."
_SEND_RECOVERY = "Whether recoveries are sent too."
_GOES_ON = "Whether later routes are tried as well."

RouteName = Annotated[Name, Field(description="Its name, unique among routes.", examples=["acme nights"])]
Enabled = Annotated[bool, Field(description="Whether it is tried.")]
GroupField = Annotated[
    str, StringConstraints(pattern=r"^(customer|agent|job|kind|activity|label:[^\x00-\x1f\x7f]{1,100})$")
]
GroupBy = Annotated[list[GroupField], AfterValidator(once_each), Field(max_length=10, description=_GROUP_BY)]
GroupWait = Annotated[int, Field(ge=0, le=_DAY_S, description=_GROUP_WAIT)]
GroupInterval = Annotated[int, Field(ge=0, le=_DAY_S, description=_GROUP_INTERVAL)]
RepeatEvery = Annotated[
    int | None,
    Field(ge=60, le=YEAR_S, description=f"{_REPEAT_EVERY} A change also applies to open alerts."),
]
SendRecovery = Annotated[bool, Field(description=_SEND_RECOVERY)]
GoesOn = Annotated[bool, Field(description=_GOES_ON)]


class RouteCreate(
    StrictModel,
    json_schema_extra=example(
        name="acme nights",
        customer_id="cus_0193a5f2c4d10123456789abcdef0123",
        matchers=[{"field": "job", "test": "like", "value": "nightly-*"}],
        recipients=["rcp_0193a5f2c4d10123456789abcdef0123"],
        repeat_every_s=86400,
    ),
):
    """A route to create. Routes are tried in the order of `position`; the first that matches ends the search unless it `goes_on`."""

    name: RouteName
    customer_id: CustomerId = None
    position: Position = 100
    enabled: Enabled = True
    matchers: Matchers = Field(default_factory=list)
    recipients: Recipients
    group_by: GroupBy = Field(default_factory=lambda: ["customer"])
    group_wait_s: GroupWait = 0
    group_interval_s: GroupInterval = 300
    repeat_every_s: RepeatEvery = None
    send_recovery: SendRecovery = True
    goes_on: GoesOn = False

    def to_route(self, route_id: str, at: datetime | None) -> Route:
        """Return the route, created at `at`."""
        return Route(
            id=route_id,
            name=self.name,
            recipients=tuple(self.recipients),
            customer_id=self.customer_id,
            enabled=self.enabled,
            matchers=to_matchers(self.matchers),
            group_by=tuple(self.group_by),
            group_wait=timedelta(seconds=self.group_wait_s),
            group_interval=timedelta(seconds=self.group_interval_s),
            repeat_every=seconds_or_none(self.repeat_every_s),
            send_recovery=self.send_recovery,
            goes_on=self.goes_on,
            position=self.position,
            created_at=at,
        )


class RouteUpdate(StrictModel, json_schema_extra=example(repeat_every_s=43200)):
    """The fields of a route to change; a field that is left out stays as it is."""

    name: RouteName = left_out()
    customer_id: CustomerId = left_out()
    position: Position = left_out()
    enabled: Enabled = left_out()
    matchers: Matchers = left_out()
    recipients: Recipients = left_out()
    group_by: GroupBy = left_out()
    group_wait_s: GroupWait = left_out()
    group_interval_s: GroupInterval = left_out()
    repeat_every_s: RepeatEvery = left_out()
    send_recovery: SendRecovery = left_out()
    goes_on: GoesOn = left_out()

    def applied_to(self, route: Route) -> Route:
        """Return the route with the fields that were sent. Raises RequestValidationError."""
        whole = merged(RouteCreate, RouteOut.of(route), self)
        return replace(whole.to_route(route.id, route.created_at), version=route.version)


class RouteOut(OutModel):
    """A route."""

    id: OutId
    version: Version
    name: OutName
    customer_id: OutCustomerId
    position: OutPosition
    enabled: Enabled
    matchers: OutMatchers
    recipients: OutRecipients
    group_by: list[str] = Field(description=_GROUP_BY)
    group_wait_s: Seconds = Field(validation_alias="group_wait", description=_GROUP_WAIT)
    group_interval_s: Seconds = Field(validation_alias="group_interval", description=_GROUP_INTERVAL)
    repeat_every_s: OptionalSeconds = Field(validation_alias="repeat_every", description=_REPEAT_EVERY)
    send_recovery: SendRecovery
    goes_on: GoesOn
    created_at: CreatedAt


class RoutePage(PageOut[RouteOut]):
    """A page of routes."""


class RoutesQuery(Paged):
    """Filters of the list of routes."""

    customer_id: OnlyCustomer = None
    name: OnlyName = None
    enabled: OnlyEnabled = None


@router.get("", operation_id="list_routes", summary="List routes", responses=problems())
async def list_routes(query: Annotated[RoutesQuery, Query()], context: Context, _caller: Reader) -> RoutePage:
    """Return routes in the order of their creation."""
    async with context.database.read() as tx:
        page = await page_routes(
            tx,
            query.window(ROUTES.prefix),
            customer_id=query.customer_id,
            name=query.name,
            enabled=query.enabled,
        )
    return RoutePage.of(page)


@router.get("/{route_id}", operation_id="get_route", summary="Get a route", responses=problems(404, 409))
async def get_route(route_id: PathId, response: Response, context: Context, _caller: Reader) -> RouteOut:
    """Return one route."""
    async with context.database.read() as tx:
        route = await ROUTES.get(tx, route_id)
    put_etag(response, route.version)
    return RouteOut.of(route)


@router.post(
    "", operation_id="create_route", summary="Create a route", status_code=HTTP_201_CREATED, responses=problems(409)
)
async def create_route(body: RouteCreate, response: Response, context: Context, caller: Admin) -> RouteOut:
    """Add a route from alerts to recipients."""
    async with context.database.write() as tx:
        by = editor_of(context, caller)
        route = await admin_routes.create_route(tx, body.to_route(new_id("rte"), by.at), by)
    response.headers["Location"] = f"/v1/routes/{route.id}"
    put_etag(response, route.version)
    return RouteOut.of(route)


@router.patch("/{route_id}", operation_id="update_route", summary="Update a route", responses=problems(404, 409, 412))
async def update_route(
    route_id: PathId, body: RouteUpdate, response: Response, context: Context, caller: Admin, versions: IfMatch
) -> RouteOut:
    """Replace the fields that are sent; the others stay as they are."""
    async with context.database.write() as tx:
        by = editor_of(context, caller, body.model_fields_set)
        route = await admin_routes.update_route(tx, route_id, body.applied_to, by, versions=versions)
    put_etag(response, route.version)
    return RouteOut.of(route)


@router.delete(
    "/{route_id}",
    operation_id="delete_route",
    summary="Delete a route",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 412),
)
async def delete_route(route_id: PathId, context: Context, caller: Admin, versions: IfMatch) -> None:
    """Delete a route. Alerts that only it led to somebody then reach nobody; `tocsin doctor` reports that."""
    async with context.database.write() as tx:
        await admin_routes.delete_route(tx, route_id, editor_of(context, caller), versions=versions)
