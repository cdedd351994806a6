"""Runs over HTTP: the executions of jobs, put together from their events."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from app.domain.event import RunOutcome, Severity
from app.http.api.dependencies import Context, ScopedReader, problems
from app.http.api.fields import OutId, OutModel, PathId
from app.http.api.scoped_query import ScopedQuery, narrowed, seen
from app.http.paging import PageOut
from app.store.runs import RUNS, RunFilters, page_runs

router = APIRouter(prefix="/v1/runs", tags=["runs"])


class RunOut(OutModel):
    """A run: one execution of a job."""

    id: OutId
    customer_id: str = Field(description="The customer whose backup this is.")
    job_id: str = Field(description="The job that ran.")
    run_key: str = Field(
        description="What its events have in common: the name of the run that the agent sent, or one of ours."
    )
    started_at: datetime | None = Field(description="When it started; null where no event reported it.")
    ended_at: datetime | None = Field(description="When it ended; null where it has not, as far as we know.")
    heard_at: datetime = Field(description="When its newest event happened.")
    outcome: RunOutcome | None = Field(
        description="How it ended; null while it runs. `missed`: it did not come in time. "
        "`overrun`: it takes too long and has not ended. `superseded`: it never ended, and a later run of the job did."
    )
    severity: Severity = Field(description="The severity of the event that decided the outcome.")
    message: str | None = Field(description="The message of that event.")
    metrics: dict[str, float] | None = Field(
        description="The numbers that its events brought, such as `bytes_processed`."
    )
    event_id: str | None = Field(description="The event that ended it.")


class RunPage(PageOut[RunOut]):
    """A page of runs."""


class RunsQuery(ScopedQuery):
    """Filters of the list of runs."""

    outcome: Annotated[
        Literal["running", "success", "warning", "failure", "cancelled", "unclear", "missed", "overrun", "superseded"]
        | None,
        Field(description="Only those with this outcome; `running`: only those without one yet."),
    ] = None

    def filters(self) -> RunFilters:
        """Return the filters for the store."""
        if self.outcome == "running":
            return RunFilters(self.scope(), is_running=True)
        return RunFilters(self.scope(), None if self.outcome is None else RunOutcome(self.outcome))


@router.get("", operation_id="list_runs", summary="List runs", responses=problems())
async def list_runs(query: Annotated[RunsQuery, Query()], context: Context, caller: ScopedReader) -> RunPage:
    """Return runs, those that began last first."""
    async with context.database.read() as tx:
        page = await page_runs(tx, narrowed(query, caller).filters(), query.window(RUNS.prefix))
    return RunPage.of(page)


@router.get("/{run_id}", operation_id="get_run", summary="Get a run", responses=problems(404))
async def get_run(run_id: PathId, context: Context, caller: ScopedReader) -> RunOut:
    """Return one run."""
    async with context.database.read() as tx:
        return RunOut.of(seen(await RUNS.get(tx, run_id), "run", caller))
