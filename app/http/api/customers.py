"""Customers over HTTP: whose backups these are."""

from datetime import datetime

from pydantic import Field

from app.admin import customers
from app.http.api.editable import Editable, router_of
from app.http.api.fields import Given, Name, Shown, Zone
from app.http.paging import Paged


class CustomerIn(Given):
    """A customer as it is given."""

    name: Name = Field(examples=["Acme"])
    time_zone: Zone = Field(
        "UTC", description="Where the customer's days begin, for daily sums and for times in mails."
    )


class Customer(Shown):
    """A customer."""

    name: str
    time_zone: str
    created_at: datetime


class CustomersQuery(Paged):
    """What the list can be asked."""

    name: Name | None = None


router = router_of(
    Editable(
        path="customers",
        noun=customers.NOUN,
        query=CustomersQuery,
        given=CustomerIn,
        edit=CustomerIn,
        shown=Customer,
        deletion="Deletes it; refused (409) while it still has agents, routes, living keys or the like.",
    )
)
