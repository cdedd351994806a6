"""Alerts over HTTP: what is wrong, and what people do about it."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from app.admin import alerts as admin_alerts
from app.domain.alert import AlertKind, AlertState
from app.domain.event import Severity
from app.http.api.dependencies import Context, ScopedOperator, ScopedReader, editor_of, problems
from app.http.api.fields import Name, OutId, OutModel, PathId, StrictModel, Words, example
from app.http.api.scoped_query import ScopedQuery, narrowed, seen
from app.http.paging import PageOut
from app.store.alerts import ALERTS, AlertFilters, page_alerts

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])


class AlertOut(OutModel):
    """An alert: a problem of a job or an agent."""

    id: OutId
    customer_id: str = Field(description="The customer whose backup is concerned.")
    agent_id: str = Field(description="The agent, even if the alert is about one of its jobs.")
    job_id: str | None = Field(description="The job; null where the alert is about the agent itself.")
    kind: AlertKind = Field(description="What is wrong.")
    rule_id: str | None = Field(description="The rule that opened it.")
    severity: Severity = Field(description="How serious it is.")
    reason: str = Field(description="Why it was opened.")
    message: str | None = Field(description="The message of its newest event.")
    event_id: str | None = Field(description="The newest event that led to it.")
    since: datetime = Field(description="When the problem began.")
    opened_at: datetime = Field(description="When the alert was opened.")
    last_at: datetime = Field(description="When its newest event happened.")
    repeats: int = Field(description="How often the problem was seen again after the first time.")
    acknowledged_at: datetime | None = Field(description="When somebody acknowledged it.")
    acknowledged_by: str | None = Field(description="Who acknowledged it, with the comment in parentheses.")
    acknowledged_by_id: str | None = Field(
        description="The id of the person or of the key who did, whose name others may have too; of the recipient, if it was done in PagerDuty or Opsgenie; null: it was a link in a mail."
    )
    closed_at: datetime | None = Field(description="When it was closed; null while it is open.")
    closed_reason: str | None = Field(description="Why it was closed.")


class AlertPage(PageOut[AlertOut]):
    """A page of alerts."""


class AlertsQuery(ScopedQuery):
    """Filters of the list of alerts."""

    state: Annotated[
        AlertState | None,
        Field(
            description="`open`: those that are not closed. `acknowledged`: of these, those that somebody acknowledged."
        ),
    ] = None
    kind: Annotated[AlertKind | None, Field(description="Only those of this kind.")] = None
    severity: Annotated[Severity | None, Field(description="Only those of this severity.")] = None

    def filters(self) -> AlertFilters:
        """Return the filters for the store."""
        return AlertFilters(self.scope(), self.state, self.kind, self.severity)


class AlertAcknowledge(StrictModel, json_schema_extra=example(name="Robin", comment="a new disk is on its way")):
    """Who acknowledges an alert. Both fields may be left out, and so may the body."""

    name: Annotated[Name | None, Field(description="Who; left out or null: the name of the key.")] = None
    comment: Annotated[Words | None, Field(description="What is done about it.")] = None


class AlertClose(StrictModel, json_schema_extra=example(reason="the host was taken out of service")):
    """Why an alert is closed by hand."""

    reason: Annotated[Words, Field(description="Why; shown with the alert and in the audit log.")]


@router.get("", operation_id="list_alerts", summary="List alerts", responses=problems())
async def list_alerts(query: Annotated[AlertsQuery, Query()], context: Context, caller: ScopedReader) -> AlertPage:
    """Return alerts, those that were opened last first."""
    async with context.database.read() as tx:
        page = await page_alerts(tx, narrowed(query, caller).filters(), query.window(ALERTS.prefix))
    return AlertPage.of(page)


@router.get("/{alert_id}", operation_id="get_alert", summary="Get an alert", responses=problems(404))
async def get_alert(alert_id: PathId, context: Context, caller: ScopedReader) -> AlertOut:
    """Return one alert."""
    async with context.database.read() as tx:
        return AlertOut.of(seen(await ALERTS.get(tx, alert_id), "alert", caller))


@router.post(
    "/{alert_id}:acknowledge",
    operation_id="acknowledge_alert",
    summary="Acknowledge an alert",
    responses=problems(404, 409),
)
async def acknowledge_alert(
    alert_id: PathId, context: Context, caller: ScopedOperator, body: AlertAcknowledge | None = None
) -> AlertOut:
    """Store who takes the alert on. It stays open, and its notices are not repeated until it has recovered. The first one counts.

    Those who were notified of the alert receive one message about it.
    """
    sent, by = body or AlertAcknowledge(), editor_of(context, caller)
    async with context.database.write() as tx:
        seen(await ALERTS.get(tx, alert_id), "alert", caller)
        if await admin_alerts.acknowledge_alert(tx, alert_id, sent.name, sent.comment, by):
            await admin_alerts.tell_others(tx, alert_id, None, by if sent.name is None else replace(by, who=sent.name))
        return AlertOut.of(await ALERTS.get(tx, alert_id))


@router.post("/{alert_id}:close", operation_id="close_alert", summary="Close an alert", responses=problems(404, 409))
async def close_alert(alert_id: PathId, body: AlertClose, context: Context, caller: ScopedOperator) -> AlertOut:
    """Close an alert by hand and suppress its notices that still wait. A later failure opens a new alert."""
    async with context.database.write() as tx:
        seen(await ALERTS.get(tx, alert_id), "alert", caller)
        await admin_alerts.close_alert(tx, alert_id, body.reason, editor_of(context, caller))
        return AlertOut.of(await ALERTS.get(tx, alert_id))
