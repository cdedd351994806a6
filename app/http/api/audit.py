"""The audit log over HTTP: who changed what, and when."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.http.api.fields import Name, Value
from app.http.api.readable import Readable, add_list
from app.http.paging import PagedByTime
from app.store.audit import AUDIT


class Entry(BaseModel):
    """One entry."""

    id: str
    at: datetime
    who: str = Field(description="The name of the key that was used.")
    action: str = Field(examples=["create", "change", "delete", "revoke", "acknowledge", "close", "retry"])
    noun: str = Field(examples=["route"])
    thing_id: str
    change: dict[str, Any] | None = Field(description="What was given; for a change, [before, after] of each field.")


class AuditQuery(PagedByTime):
    """What the list can be asked; the newest come first."""

    who: Name | None = None
    action: Name | None = None
    noun: Name | None = None
    thing_id: Value | None = None


router = APIRouter(prefix="/v1/audit", tags=["audit"])
add_list(router, Readable("audit", "entry", AUDIT, AuditQuery, Entry, Entry))
