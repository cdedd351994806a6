"""The filters that the lists of events, runs, alerts, notices and messages share."""

from copy import copy
from typing import Annotated, Protocol, TypeVar

from pydantic import Field

from app.core.errors import BadInput, NotFound
from app.http.api.fields import Id, Name
from app.http.auth import Caller
from app.http.paging import PagedByTime
from app.store.customers import Scope

_NOBODY = "cus_" + "0" * 28  # no customer has this id


class Owned(Protocol):
    """What belongs to a customer."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def customer_id(self) -> str | None:
        """Whose it is."""


_Owned = TypeVar("_Owned", bound=Owned)


class OfCustomer(Protocol):
    """Filters, one of which names a customer."""

    customer_id: str | None


_Q = TypeVar("_Q", bound=OfCustomer)


def narrowed(query: _Q, caller: Caller) -> _Q:
    """Return filters that let only rows of the key's customers through. Another customer matches nothing, as one that does not exist.

    Raises BadInput where a key of several customers does not say which one is meant.
    """
    if caller.customers is None or caller.sees(query.customer_id):
        return query
    if query.customer_id is None and len(caller.customers) > 1:
        raise BadInput("this key is for several customers: name one of them", field="customer_id")
    only = caller.customers[0] if query.customer_id is None else _NOBODY
    narrow = copy(query)
    narrow.customer_id = only
    return narrow


def seen(found: _Owned, noun: str, caller: Caller) -> _Owned:
    """Return what was found. Raises NotFound, as for an id that does not exist, if it is of a customer that the key may not see."""
    if not caller.sees(found.customer_id):
        raise NotFound(f"there is no {noun} {found.id}")
    return found


class ScopedQuery(PagedByTime):
    """Whose rows a list shows. An id and a name that do not belong together match nothing."""

    customer_id: Annotated[Id | None, Field(description="Only those of this customer.")] = None
    agent_id: Annotated[Id | None, Field(description="Only those of this agent.")] = None
    agent: Annotated[Name | None, Field(description="Only those of agents with this name.")] = None
    job_id: Annotated[Id | None, Field(description="Only those of this job.")] = None
    job: Annotated[Name | None, Field(description="Only those of jobs with this name.")] = None

    def scope(self) -> Scope:
        """Return these filters for the store."""
        return Scope(self.customer_id, self.agent_id, self.agent, self.job_id, self.job)
