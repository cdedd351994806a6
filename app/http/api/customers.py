"""Customers over HTTP: whose backups these are."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from app.admin import customers as admin_customers
from app.core.ids import new_id
from app.domain.customer import Customer
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.fields import (
    CreatedAt,
    Name,
    OutId,
    OutModel,
    PathId,
    StrictModel,
    Version,
    Zone,
    example,
    left_out,
    merged,
)
from app.http.etag import IfMatch, put_etag
from app.http.paging import Paged, PageOut
from app.store.customers import CUSTOMERS, page_customers

router = APIRouter(prefix="/v1/customers", tags=["customers"])

CustomerName = Annotated[Name, Field(description="Its name, unique among customers.", examples=["Acme"])]
CustomerZone = Annotated[
    Zone, Field(description="IANA time zone in which the customer's days begin, for daily sums and for times in mails.")
]


class CustomerCreate(StrictModel, json_schema_extra=example(name="Acme", time_zone="Europe/Berlin")):
    """A customer to create."""

    name: CustomerName
    time_zone: CustomerZone = "UTC"

    def to_customer(self, customer_id: str, at: datetime) -> Customer:
        """Return the customer, created at `at`."""
        return Customer(id=customer_id, name=self.name, time_zone=self.time_zone, created_at=at)


class CustomerUpdate(StrictModel, json_schema_extra=example(time_zone="Europe/Vienna")):
    """The fields of a customer to change; a field that is left out stays as it is."""

    name: CustomerName = left_out()
    time_zone: CustomerZone = left_out()

    def applied_to(self, customer: Customer) -> Customer:
        """Return the customer with the fields that were sent. Raises RequestValidationError."""
        whole = merged(CustomerCreate, CustomerOut.of(customer), self)
        return replace(customer, name=whole.name, time_zone=whole.time_zone)


class CustomerOut(OutModel):
    """A customer."""

    id: OutId
    version: Version
    name: Annotated[str, Field(description="Its name.")]
    time_zone: Annotated[str, Field(description="IANA time zone in which the customer's days begin.")]
    created_at: CreatedAt


class CustomerPage(PageOut[CustomerOut]):
    """A page of customers."""


class CustomersQuery(Paged):
    """Filters of the list of customers."""

    name: Annotated[Name | None, Field(description="Only the customer with this name.")] = None


@router.get("", operation_id="list_customers", summary="List customers", responses=problems())
async def list_customers(query: Annotated[CustomersQuery, Query()], context: Context, _caller: Reader) -> CustomerPage:
    """Return customers in the order of their creation."""
    async with context.database.read() as tx:
        page = await page_customers(tx, query.window(CUSTOMERS.prefix), name=query.name)
    return CustomerPage.of(page)


@router.get("/{customer_id}", operation_id="get_customer", summary="Get a customer", responses=problems(404, 409))
async def get_customer(customer_id: PathId, response: Response, context: Context, _caller: Reader) -> CustomerOut:
    """Return one customer."""
    async with context.database.read() as tx:
        customer = await CUSTOMERS.get(tx, customer_id)
    put_etag(response, customer.version)
    return CustomerOut.of(customer)


@router.post(
    "",
    operation_id="create_customer",
    summary="Create a customer",
    status_code=HTTP_201_CREATED,
    responses=problems(409),
)
async def create_customer(body: CustomerCreate, response: Response, context: Context, caller: Admin) -> CustomerOut:
    """Add a customer; its name must not be taken."""
    async with context.database.write() as tx:
        by = editor_of(context, caller)
        customer = await admin_customers.create_customer(tx, body.to_customer(new_id("cus"), by.at), by)
    response.headers["Location"] = f"/v1/customers/{customer.id}"
    put_etag(response, customer.version)
    return CustomerOut.of(customer)


@router.patch(
    "/{customer_id}", operation_id="update_customer", summary="Update a customer", responses=problems(404, 409, 412)
)
async def update_customer(
    customer_id: PathId,
    body: CustomerUpdate,
    response: Response,
    context: Context,
    caller: Admin,
    versions: IfMatch,
) -> CustomerOut:
    """Replace the fields that are sent; the others stay as they are."""
    async with context.database.write() as tx:
        customer = await admin_customers.update_customer(
            tx, customer_id, body.applied_to, editor_of(context, caller, body.model_fields_set), versions=versions
        )
    put_etag(response, customer.version)
    return CustomerOut.of(customer)


@router.delete(
    "/{customer_id}",
    operation_id="delete_customer",
    summary="Delete a customer",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 412),
)
async def delete_customer(customer_id: PathId, context: Context, caller: Admin, versions: IfMatch) -> None:
    """Delete a customer; refused (409) while it has agents, routes, keys in use or the like."""
    async with context.database.write() as tx:
        await admin_customers.delete_customer(tx, customer_id, editor_of(context, caller), versions=versions)
