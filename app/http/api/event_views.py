"""GET /v1/events: what agents and our own clock have said, with those set aside and why, and how these are tried again.

Taking events in is in events.py.
"""

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.admin import events
from app.core.errors import NotFound
from app.domain.event import Activity, EventKind, Phase, RunOutcome, Severity
from app.http.api.dependencies import Admin, Context, editor_of, problems
from app.http.api.fields import Id, Name, PathId
from app.http.api.readable import Readable, add_get, add_list
from app.http.paging import PagedByTime
from app.store.history import EVENTS


class EventLine(BaseModel):
    """An event in a list."""

    id: str
    customer_id: str
    agent_id: str
    key: str
    kind: EventKind = Field(description="Who says it: an agent (report), or our clock.")
    state: Literal["new", "folded", "set_aside"] = Field(
        description="new: not yet decided on; set_aside: it could not be, see error."
    )
    job: str | None
    run: str | None
    run_id: str | None
    activity: Activity
    phase: Phase | None
    outcome: RunOutcome | None
    severity: Severity
    occurred_at: datetime
    received_at: datetime
    message: str | None
    flags: list[str] | None = Field(description="What was altered on the way in.")
    error: str | None = Field(description="Why it was set aside.")


class Event(EventLine):
    """An event as a whole."""

    log: str | None
    metrics: dict[str, float] | None
    labels: dict[str, str] | None
    extra: dict[str, Any] | None


class Retried(BaseModel):
    """How many events are decided on again."""

    retried: int = Field(examples=[3])


class EventsQuery(PagedByTime):
    """What the list can be asked; the newest come first."""

    customer_id: Id | None = None
    agent_id: Id | None = None
    job: Name | None = Field(None, description="A job's name.")
    run_id: Id | None = None
    state: Literal["new", "folded", "set_aside"] | None = None
    kind: EventKind | None = None
    activity: Activity | None = None
    phase: Phase | None = None
    outcome: RunOutcome | None = None
    severity: Severity | None = None


router = APIRouter(prefix="/v1/events", tags=["events"])
_events = Readable("events", "event", EVENTS, EventsQuery, EventLine, Event)
add_list(router, _events)
add_get(router, _events)


@router.post("/{thing_id}:retry", summary="Decide again on an event that was set aside", responses=problems(404, 409))
async def retry_event(thing_id: PathId, context: Context, caller: Admin) -> Event:
    """Put it back into the line, without its error. Refused (409) unless it is set aside."""
    async with context.database.write() as tx:
        await events.retry(tx, thing_id, editor_of(context, caller))
    async with context.database.read() as tx:
        found = await EVENTS.find(tx, thing_id)
    if found is None:
        raise NotFound(f"there is no event {thing_id}")
    return Event.model_validate(found.fields)


@router.post(":retry-set-aside", summary="Decide again on all events that were set aside", responses=problems())
async def retry_set_aside_events(context: Context, caller: Admin) -> Retried:
    """Put them back into the line, at most 10 000 in one call, the oldest first: call it again until it answers 0."""
    async with context.database.write() as tx:
        return Retried(retried=await events.retry_set_aside(tx, editor_of(context, caller)))
