"""Alerts over HTTP: what is wrong, and what people do about it."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.admin import alerts
from app.context import AppContext
from app.core.errors import NotFound
from app.domain.alert import AlertKind
from app.domain.event import Severity
from app.http.api.dependencies import Admin, Context, editor_of, problems
from app.http.api.fields import Id, Name, PathId, StrictModel, Words
from app.http.api.readable import Readable, add_get, add_list
from app.http.paging import PagedByTime
from app.store.history import ALERTS


class Alert(BaseModel):
    """An alert."""

    id: str
    customer_id: str
    agent_id: str
    job_id: str | None
    kind: AlertKind
    rule_id: str | None
    severity: Severity
    reason: str
    message: str | None
    event_id: str | None = Field(description="The newest event that it rests on.")
    since: datetime = Field(description="When it began for the backup.")
    opened_at: datetime
    last_at: datetime
    repeats: int
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    closed_at: datetime | None
    closed_reason: str | None


class AlertsQuery(PagedByTime):
    """What the list can be asked; those opened last come first."""

    state: Literal["open", "acknowledged", "closed"] | None = Field(
        None, description="acknowledged: open, and somebody took it on."
    )
    customer_id: Id | None = None
    agent_id: Id | None = None
    job_id: Id | None = None
    kind: AlertKind | None = None
    severity: Severity | None = None


class Acknowledgement(StrictModel):
    """Who takes an alert on. Both may be left out."""

    name: Name | None = Field(None, description="Who; left out: the key's name.")
    comment: Words | None = None


class Closing(StrictModel):
    """Why an alert is closed by hand."""

    reason: Words = Field(examples=["the host was taken out of service"])


router = APIRouter(prefix="/v1/alerts", tags=["alerts"])
_alerts = Readable("alerts", "alert", ALERTS, AlertsQuery, Alert, Alert)
add_list(router, _alerts)
add_get(router, _alerts)


@router.post("/{thing_id}:acknowledge", summary="Acknowledge an alert", responses=problems(404, 409))
async def acknowledge_alert(
    thing_id: PathId, context: Context, caller: Admin, given: Acknowledgement | None = None
) -> Alert:
    """Say that somebody takes it on: it stays open, and is not told again until it has recovered. The first one counts."""
    said = given or Acknowledgement()
    async with context.database.write() as tx:
        await alerts.acknowledge(tx, thing_id, said.name, said.comment, editor_of(context, caller))
    return await _alert(context, thing_id)


@router.post("/{thing_id}:close", summary="Close an alert", responses=problems(404, 409))
async def close_alert(thing_id: PathId, given: Closing, context: Context, caller: Admin) -> Alert:
    """Close it by hand and withdraw what was not told yet. A later failure opens a new one."""
    async with context.database.write() as tx:
        await alerts.close(tx, thing_id, given.reason, editor_of(context, caller))
    return await _alert(context, thing_id)


async def _alert(context: AppContext, alert_id: str) -> Alert:
    async with context.database.read() as tx:
        found = await ALERTS.find(tx, alert_id)
    if found is None:
        raise NotFound(f"there is no alert {alert_id}")
    return Alert.model_validate(found.fields)
