"""Alerts over HTTP: what is wrong, and what people do about it."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.base.errors import NotFound
from app.domain.alert import AlertKind
from app.domain.event import Severity
from app.edge.api.asking import Admin, InHouse, editor_of, problems
from app.edge.api.fields import Given, Id, Name, PathId, Words
from app.edge.api.readable import Readable, add_get, add_list
from app.edge.paging import PagedByTime
from app.house import House
from app.manage import alerts
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


class Acknowledgement(Given):
    """Who takes an alert on. Both may be left out."""

    name: Name | None = Field(None, description="Who; left out: the key's name.")
    comment: Words | None = None


class Closing(Given):
    """Why an alert is closed by hand."""

    reason: Words = Field(examples=["the host was taken out of service"])


router = APIRouter(prefix="/v1/alerts", tags=["alerts"])
_alerts = Readable("alerts", "alert", ALERTS, AlertsQuery, Alert, Alert)
add_list(router, _alerts)
add_get(router, _alerts)


@router.post("/{thing_id}:acknowledge", summary="Acknowledge an alert", responses=problems(404, 409))
async def acknowledge_alert(
    thing_id: PathId, house: InHouse, caller: Admin, given: Acknowledgement | None = None
) -> Alert:
    """Say that somebody takes it on: it stays open, and is not told again until it has recovered. The first one counts."""
    said = given or Acknowledgement()
    async with house.store.write() as unit:
        await alerts.acknowledge(unit, thing_id, said.name, said.comment, editor_of(house, caller))
    return await _alert(house, thing_id)


@router.post("/{thing_id}:close", summary="Close an alert", responses=problems(404, 409))
async def close_alert(thing_id: PathId, given: Closing, house: InHouse, caller: Admin) -> Alert:
    """Close it by hand and withdraw what was not told yet. A later failure opens a new one."""
    async with house.store.write() as unit:
        await alerts.close(unit, thing_id, given.reason, editor_of(house, caller))
    return await _alert(house, thing_id)


async def _alert(house: House, alert_id: str) -> Alert:
    async with house.store.read() as view:
        found = await ALERTS.find(view, alert_id)
    if found is None:
        raise NotFound(f"there is no alert {alert_id}")
    return Alert.model_validate(found.fields)
