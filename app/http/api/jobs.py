"""Jobs over HTTP: what agents back up, and when that is expected."""

from datetime import datetime
from typing import Self

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, model_validator

from app.admin import jobs
from app.domain.event import Activity
from app.domain.expectation import check_cron
from app.domain.job import JobState
from app.http.api.dependencies import Admin, Context, editor_of, problems
from app.http.api.editable import Editable, add_to
from app.http.api.fields import YEAR_S, Id, Name, PathId, Shown, StrictModel, Zone
from app.http.api.readable import show
from app.http.etag import IfMatch
from app.http.paging import Paged


class ExpectationModel(StrictModel):
    """When a job should have run: either `cron` with its time zone, or `period_s`."""

    cron: str | None = Field(
        None,
        min_length=9,
        max_length=200,
        pattern=r"^[ -~]+$",
        description="Five fields, as in crontab.",
        examples=["0 2 * * *"],
    )
    period_s: int | None = Field(None, ge=60, le=5 * YEAR_S, description="Longest time from run to run, in seconds.")
    time_zone: Zone = "UTC"
    grace_s: int = Field(3600, ge=0, le=YEAR_S, description="Seconds after its time until it is called missed.")
    longest_s: int | None = Field(
        None, ge=60, le=YEAR_S, description="Seconds after which a run takes too long; null: never."
    )

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if (self.cron is None) == (self.period_s is None):
            raise ValueError("give either cron or period_s")
        if self.cron is not None:
            check_cron(self.cron)
        return self


class JobEdit(StrictModel):
    """What can be changed of a job. A new expectation holds from now on: nothing is called missed for the time before it."""

    expectation: ExpectationModel | None = Field(None, description="When it should run; null: nothing is expected.")


class JobIn(JobEdit):
    """A job as it is given. One that an agent reports is created by itself."""

    agent_id: Id
    name: Name = Field(examples=["nightly-sql"])
    activity: Activity = Activity.BACKUP


class Job(Shown):
    """A job and how it stands."""

    customer_id: str
    agent_id: str
    name: str
    activity: Activity
    labels: dict[str, str]
    expectation: ExpectationModel | None
    proposed_expectation: ExpectationModel | None = Field(
        description="Learned from its runs; watched already, but only a warning until you confirm it."
    )
    told_expectation: ExpectationModel | None = Field(
        description="Until the next run that its tool told of; holds while there is no expectation."
    )
    dismissed_at: datetime | None = Field(description="Since when nothing is to be expected or learned.")
    state: JobState
    failures_in_row: int
    warnings_in_row: int
    missed_in_row: int
    failing_since: datetime | None
    running_since: datetime | None
    last_outcome: str | None
    last_finished_at: datetime | None
    last_success_at: datetime | None
    last_came_at: datetime | None
    last_message: str | None
    last_run_id: str | None
    next_due_at: datetime | None
    overdue_at: datetime | None = Field(description="When it is called missed if it does not show itself until then.")
    created_at: datetime


class Selection(StrictModel):
    """Whose jobs are meant; all left out: everybody's."""

    customer_id: Id | None = None
    agent_id: Id | None = None
    name: Name | None = None
    activity: Activity | None = None


class Confirmed(BaseModel):
    """What became of it."""

    confirmed: int = Field(description="How many jobs have their proposal as their expectation now.")
    more: bool = Field(description="Whether others wait: call again.")


class JobsQuery(Paged):
    """What the list can be asked."""

    customer_id: Id | None = None
    agent_id: Id | None = None
    name: Name | None = None
    activity: Activity | None = None
    state: JobState | None = None
    expected: bool | None = Field(None, description="Whether the job has an expectation.")
    proposed: bool | None = Field(None, description="Whether a learned one waits to be confirmed.")


router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
add_to(
    router,
    Editable(
        path="jobs",
        noun=jobs.NOUN,
        query=JobsQuery,
        given=JobIn,
        edit=JobEdit,
        shown=Job,
        deletion="Deletes it with its runs and daily sums and closes its alerts. If its agent reports it again, it begins anew.",
    ),
)


@router.post(
    "/{thing_id}:confirm-expectation", summary="Confirm a learned expectation", responses=problems(404, 409, 412)
)
async def confirm_expectation(
    thing_id: PathId, response: Response, context: Context, caller: Admin, versions: IfMatch
) -> Job:
    """Make what is proposed the job's expectation: from now on a missed run is an error like any other."""
    async with context.database.write() as tx:
        job = await jobs.confirm(tx, thing_id, editor_of(context, caller), versions=versions)
    return Job.model_validate(show(Job, job, response))


@router.post("/{thing_id}:dismiss-expectation", summary="Expect nothing", responses=problems(404, 409, 412))
async def dismiss_expectation(
    thing_id: PathId, response: Response, context: Context, caller: Admin, versions: IfMatch
) -> Job:
    """Expect nothing of the job and learn nothing of it any more, until you set an expectation. Closes what was missed so far."""
    async with context.database.write() as tx:
        job = await jobs.dismiss(tx, thing_id, editor_of(context, caller), versions=versions)
    return Job.model_validate(show(Job, job, response))


@router.post(":confirm-expectations", summary="Confirm all learned expectations", responses=problems())
async def confirm_expectations(context: Context, caller: Admin, given: Selection | None = None) -> Confirmed:
    """Confirm what is proposed for all jobs that are meant, 200 at a time. Look at `GET /v1/jobs?proposed=true` first."""
    filters = (given or Selection()).model_dump(exclude_none=True)
    async with context.database.write() as tx:
        confirmed = await jobs.confirm_all(tx, filters, editor_of(context, caller))
    return Confirmed(confirmed=confirmed, more=confirmed == jobs.AT_ONCE)
