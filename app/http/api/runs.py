"""Runs over HTTP: the executions of jobs, put together from their events."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.domain.event import Severity
from app.http.api.fields import Id
from app.http.api.readable import Readable, add_get, add_list
from app.http.paging import PagedByTime
from app.store.history import RUNS


class Run(BaseModel):
    """A run."""

    id: str
    customer_id: str
    job_id: str
    run_key: str
    started_at: datetime | None
    ended_at: datetime | None
    heard_at: datetime = Field(description="When its newest event happened.")
    outcome: str | None = Field(
        description="success, warning, failure, cancelled, missed or superseded; null while it runs."
    )
    severity: Severity
    message: str | None
    metrics: dict[str, float] | None
    event_id: str | None = Field(description="The event that ended it.")


class RunsQuery(PagedByTime):
    """What the list can be asked; those first heard of last come first."""

    customer_id: Id | None = None
    job_id: Id | None = None
    outcome: Literal["running", "success", "warning", "failure", "cancelled", "missed", "superseded"] | None = None


router = APIRouter(prefix="/v1/runs", tags=["runs"])
_runs = Readable("runs", "run", RUNS, RunsQuery, Run, Run)
add_list(router, _runs)
add_get(router, _runs)
