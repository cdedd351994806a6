"""Retention over HTTP: for how many days what is kept."""

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app.admin import retention
from app.domain.record import Record
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.fields import StrictModel
from app.http.etag import IfMatch, put_etag

_MOST = 36_500


class RetentionIn(StrictModel):
    """The days, both of them."""

    keep_events_days: int = Field(ge=1, le=_MOST, description="Events; jobs, open alerts and daily sums outlive them.")
    keep_history_days: int = Field(
        ge=15, le=_MOST, description="Runs, daily sums, closed alerts, notices, messages, mail files and the audit log."
    )


class Retention(BaseModel):
    """The days that hold. Version 0: those of the settings."""

    keep_events_days: int
    keep_history_days: int
    version: int


router = APIRouter(prefix="/v1/retention", tags=["retention"])


@router.get("", summary="Get the retention", responses=problems())
async def get_retention(response: Response, context: Context, _caller: Reader) -> Retention:
    """Give for how long what is kept."""
    async with context.database.read() as tx:
        return _show(await retention.present(tx, context.settings), response)


@router.put("", summary="Set the retention", responses=problems(412))
async def put_retention(
    given: RetentionIn, response: Response, context: Context, caller: Admin, versions: IfMatch
) -> Retention:
    """Set for how long what is kept; from then on it holds in place of the settings."""
    async with context.database.write() as tx:
        kept = await retention.put(tx, context.settings, given.model_dump(), versions, editor_of(context, caller))
    return _show(kept, response)


def _show(kept: Record, response: Response) -> Retention:
    put_etag(response, kept.version)
    return Retention(**kept.fields, version=kept.version)
