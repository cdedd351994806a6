"""The audit log over HTTP: who changed what, and when."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from app.http.api.dependencies import Context, Reader, problems
from app.http.api.fields import Name, OutId, OutModel, Value
from app.http.paging import PagedByTime, PageOut
from app.store.edits import AUDIT, page_audit

router = APIRouter(prefix="/v1/audit", tags=["audit"])


class AuditEntryOut(OutModel):
    """An entry of the audit log."""

    id: OutId
    at: datetime = Field(description="When it was done.")
    who: str = Field(
        description="The name of the person, with the address if others have that name, or of the key that was used."
    )
    who_id: str | None = Field(description="The id of the person or of the key; null: it was neither.")
    action: str = Field(
        description="What was done.",
        examples=["create", "change", "delete", "revoke", "acknowledge", "close", "retry"],
    )
    noun: str = Field(description="What kind of thing it was done to.", examples=["route"])
    thing_id: str = Field(description="The id of that thing.")
    change: dict[str, Any] | None = Field(
        description="The values of what was created or deleted; for a change, [before, after] of each field. Of the URL of a webhook only the host and the start of its path: where both look the same, the rest was changed."
    )


class AuditPage(PageOut[AuditEntryOut]):
    """A page of entries of the audit log."""


class AuditQuery(PagedByTime):
    """Filters of the audit log."""

    who: Annotated[
        Name | None, Field(description="Only what was done with the key, or by the person, of this name.")
    ] = None
    who_id: Annotated[Value | None, Field(description="Only what was done by the person or the key with this id.")] = (
        None
    )
    action: Annotated[Name | None, Field(description="Only this action.")] = None
    noun: Annotated[Name | None, Field(description="Only what was done to things of this kind.")] = None
    thing_id: Annotated[Value | None, Field(description="Only what was done to the thing with this id.")] = None


@router.get("", operation_id="list_audit_entries", summary="List audit entries", responses=problems())
async def list_audit_entries(query: Annotated[AuditQuery, Query()], context: Context, _caller: Reader) -> AuditPage:
    """Return the entries of the audit log, newest first."""
    async with context.database.read() as tx:
        page = await page_audit(
            tx,
            query.window(AUDIT.prefix),
            who=query.who,
            who_id=query.who_id,
            action=query.action,
            noun=query.noun,
            thing_id=query.thing_id,
        )
    return AuditPage.of(page)
