"""Retention over HTTP: for how many days what is kept."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from app.admin import retention as admin_retention
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.fields import OutModel, StrictModel, example
from app.http.etag import IfMatch, put_etag

router = APIRouter(prefix="/v1/retention", tags=["retention"])

_EVENTS = "Days for which events are kept; jobs, open alerts and daily sums are kept longer."
_HISTORY = "Days for which runs, daily sums, closed alerts, notices, messages, mail files and the audit log are kept."
_LONGEST_DAYS = 36_500


class RetentionUpdate(StrictModel, json_schema_extra=example(keep_events_days=90, keep_history_days=400)):
    """The days, both of them."""

    keep_events_days: Annotated[int, Field(ge=1, le=_LONGEST_DAYS, description=_EVENTS)]
    keep_history_days: Annotated[int, Field(ge=15, le=_LONGEST_DAYS, description=_HISTORY)]


class RetentionOut(OutModel):
    """The days that hold."""

    keep_events_days: int = Field(description=_EVENTS)
    keep_history_days: int = Field(description=_HISTORY)
    version: int = Field(description="Grows with each edit; 0: the days come from the settings.")


@router.get("", operation_id="get_retention", summary="Get the retention", responses=problems())
async def get_retention(response: Response, context: Context, _caller: Reader) -> RetentionOut:
    """Return for how many days what is kept."""
    async with context.database.read() as tx:
        kept = await admin_retention.current_retention(tx, context.settings)
    put_etag(response, kept.version)
    return RetentionOut.of(kept)


@router.put("", operation_id="set_retention", summary="Set the retention", responses=problems(412))
async def set_retention(
    body: RetentionUpdate, response: Response, context: Context, caller: Admin, versions: IfMatch
) -> RetentionOut:
    """Set for how many days events and history are kept. These values then replace those of the settings."""
    async with context.database.write() as tx:
        kept = await admin_retention.set_retention(
            tx,
            context.settings,
            editor_of(context, caller),
            keep_events_days=body.keep_events_days,
            keep_history_days=body.keep_history_days,
            versions=versions,
        )
    put_etag(response, kept.version)
    return RetentionOut.of(kept)
