"""Jobs over HTTP: what agents back up, how each stands, and when it is expected to run."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Self

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field, model_validator
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from app.admin import jobs as admin_jobs
from app.domain.event import Activity
from app.domain.expectation import Expectation
from app.domain.job import Job, JobState
from app.domain.schedule import read_schedule
from app.domain.zone_hint import RUNS_READ, zone_hint
from app.http.api.dependencies import Admin, Context, ScopedReader, editor_of, problems
from app.http.api.fields import (
    YEAR_S,
    CreatedAt,
    Id,
    Name,
    OptionalSeconds,
    OutId,
    OutModel,
    PathId,
    Seconds,
    StrictModel,
    Version,
    Zone,
    example,
    left_out,
    seconds_or_none,
)
from app.http.api.scoped_query import narrowed, seen
from app.http.etag import IfMatch, put_etag
from app.http.paging import Paged, PageOut
from app.store.events import count_unclear_texts
from app.store.jobs import JOBS, JobFilters, page_jobs
from app.store.runs import newest_runs

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_CRON = "Cron expressions of five fields, separated by `; `; the job is expected at the times of each of them."
_CRON_IN = (
    "Five fields as in crontab, a shortcut such as `@daily`, or systemd's OnCalendar. Separate several schedules by `;` or line ends. "
    "The answer shows them as cron expressions."
)
_PERIOD = "Longest time from run to run, in seconds."
_GRACE = "Seconds after the expected time until the run counts as missed."
_LONGEST = "Seconds after which a run takes too long; null: never."


class ExpectationIn(
    StrictModel, json_schema_extra=example(cron="0 2 * * *", time_zone="Europe/Berlin", grace_s=3600, longest_s=14400)
):
    """When a job should run: either `cron` with its time zone, or `period_s`."""

    cron: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        pattern=r"^[ -~\t\r\n]+$",
        description=_CRON_IN,
        examples=["0 2 * * *", "0 2 * * 1-5; 0 4 * * 6", "@daily", "Mon..Fri 02:30 Europe/Berlin"],
    )
    period_s: int | None = Field(None, ge=60, le=5 * YEAR_S, description=_PERIOD)
    time_zone: Zone = "UTC"
    grace_s: int = Field(3600, ge=0, le=YEAR_S, description=_GRACE)
    longest_s: int | None = Field(None, ge=60, le=YEAR_S, description=_LONGEST)

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if (self.cron is None) == (self.period_s is None):
            raise ValueError("send either cron or period_s")
        if self.cron is not None:
            schedule = read_schedule(self.cron)
            if schedule.time_zone is not None and "time_zone" in self.model_fields_set:
                if self.time_zone != schedule.time_zone:
                    raise ValueError(f"time_zone is {self.time_zone}, but the schedule names {schedule.time_zone}")
            elif schedule.time_zone is not None:
                self.time_zone = schedule.time_zone
            self.cron = schedule.cron
        return self

    def to_expectation(self) -> Expectation:
        """Return the expectation."""
        return Expectation(
            grace=timedelta(seconds=self.grace_s),
            cron=self.cron,
            period=seconds_or_none(self.period_s),
            time_zone=self.time_zone,
            longest=seconds_or_none(self.longest_s),
        )


class ExpectationOut(OutModel):
    """When a job should run: either `cron` with its time zone, or `period_s`."""

    cron: str | None = Field(description=_CRON)
    period_s: OptionalSeconds = Field(validation_alias="period", description=_PERIOD)
    time_zone: str = Field(
        description="IANA time zone of `cron`; with a period, the zone whose clock changes are allowed for."
    )
    grace_s: Seconds = Field(validation_alias="grace", description=_GRACE)
    longest_s: OptionalSeconds = Field(validation_alias="longest", description=_LONGEST)


JobExpectation = Annotated[
    ExpectationIn | None, Field(description="When it should run, from now on; null: nothing is expected.")
]


class JobCreate(
    StrictModel,
    json_schema_extra=example(
        agent_id="agt_0193a5f2c4d10123456789abcdef0123",
        name="nightly-sql",
        activity="backup",
        expectation={"cron": "0 2 * * *", "time_zone": "Europe/Berlin"},
    ),
):
    """A job to create. A job that an agent reports is created by its first event."""

    agent_id: Annotated[Id, Field(description="The agent that runs it.")]
    name: Annotated[Name, Field(description="Its name, unique for the agent and activity.", examples=["nightly-sql"])]
    activity: Annotated[Activity, Field(description="What it does.")] = Activity.BACKUP
    expectation: JobExpectation = None


class JobUpdate(StrictModel, json_schema_extra=example(expectation={"period_s": 86400, "grace_s": 7200})):
    """The fields of a job to change; a field that is left out stays as it is."""

    expectation: JobExpectation = left_out()

    def applied_to(self, job: Job) -> Job:
        """Return the job with the fields that were sent."""
        if "expectation" not in self.model_fields_set:
            return job
        return replace(job, expectation=self.expectation.to_expectation() if self.expectation else None)


class JobOut(OutModel):
    """A job and its present state."""

    id: OutId
    version: Version
    customer_id: str = Field(description="The customer whose backups its agent makes.")
    agent_id: str = Field(description="The agent that runs it.")
    name: str = Field(description="Its name, unique for the agent and activity.")
    activity: Activity = Field(description="What it does.")
    labels: dict[str, str] = Field(description="Labels of its newest event, for matchers.")
    expectation: ExpectationOut | None = Field(description="When an administrator expects it; null: not set.")
    proposed_expectation: ExpectationOut | None = Field(
        description="Learned from its runs; already watched, but only as a warning until you confirm it."
    )
    told_expectation: ExpectationOut | None = Field(
        description="Until the next run that its tool announced; in force while there is no expectation."
    )
    dismissed_at: datetime | None = Field(description="Since when nothing is expected or learned; null: not dismissed.")
    state: JobState = Field(description="How its newest ended run went; unclear ones do not count.")
    failures_in_row: int = Field(description="Failed runs since the last one that stored something.")
    warnings_in_row: int = Field(description="Runs with warnings since the last success.")
    missed_in_row: int = Field(description="Missed runs since the last run.")
    failing_since: datetime | None = Field(description="Since when it fails or is missed; null: it does not.")
    running_since: datetime | None = Field(description="When the run that is under way began; null: none is.")
    last_outcome: str | None = Field(
        description="Outcome of its newest ended run that is not unclear; null: there is none."
    )
    last_finished_at: datetime | None = Field(description="When its newest run ended.")
    last_success_at: datetime | None = Field(description="When its newest successful run ended.")
    last_came_at: datetime | None = Field(description="When a run last began or ended.")
    last_message: str | None = Field(description="Message of its newest ended run.")
    last_run_id: str | None = Field(description="Id of its newest ended run.")
    next_due_at: datetime | None = Field(description="When it should run next; null: nothing is expected.")
    overdue_at: datetime | None = Field(description="When it counts as missed if no run begins or ends until then.")
    unclear_texts: int = Field(
        0,
        description="How many forms of unclear texts wait for an answer; see its alerts of kind `unclear`. If there are any, `state` may be out of date.",
    )
    hint: str | None = Field(
        None,
        description="What may be wrong with its expectation, such as its time zone; null: nothing is known to be wrong. Only in the answer for one job, not in lists.",
    )
    created_at: CreatedAt


class JobPage(PageOut[JobOut]):
    """A page of jobs."""


class JobsQuery(Paged):
    """Filters of the list of jobs."""

    customer_id: Annotated[Id | None, Field(description="Only jobs of this customer.")] = None
    agent_id: Annotated[Id | None, Field(description="Only jobs of this agent.")] = None
    name: Annotated[Name | None, Field(description="Only jobs with this name.")] = None
    activity: Annotated[Activity | None, Field(description="Only jobs with this activity.")] = None
    state: Annotated[JobState | None, Field(description="Only jobs in this state.")] = None
    expected: bool | None = Field(None, description="Whether the job has an expectation.")
    proposed: bool | None = Field(None, description="Whether a learned expectation waits to be confirmed.")

    def filters(self) -> JobFilters:
        """Return the filters."""
        return JobFilters(
            customer_id=self.customer_id,
            agent_id=self.agent_id,
            name=self.name,
            activity=self.activity,
            state=self.state,
            has_expectation=self.expected,
            has_proposal=self.proposed,
        )


class JobSelection(StrictModel, json_schema_extra=example(customer_id="cus_0193a5f2c4d10123456789abcdef0123")):
    """Which jobs are chosen; an empty object: all jobs."""

    customer_id: Annotated[Id | None, Field(description="Only jobs of this customer.")] = None
    agent_id: Annotated[Id | None, Field(description="Only jobs of this agent.")] = None
    name: Annotated[Name | None, Field(description="Only jobs with this name.")] = None
    activity: Annotated[Activity | None, Field(description="Only jobs with this activity.")] = None


class JobsConfirmed(BaseModel):
    """How many expectations were confirmed."""

    confirmed: int = Field(description="How many jobs now have their proposal as their expectation.")
    more: bool = Field(description="Whether others may wait: call again.")


@router.get("", operation_id="list_jobs", summary="List jobs", responses=problems())
async def list_jobs(query: Annotated[JobsQuery, Query()], context: Context, caller: ScopedReader) -> JobPage:
    """Return jobs in the order of their creation."""
    async with context.database.read() as tx:
        page = await page_jobs(tx, narrowed(query, caller).filters(), query.window(JOBS.prefix))
        unclear = await count_unclear_texts(tx, [job.id for job in page.items])
    shown = JobPage.of(page)
    shown.items = [job.model_copy(update={"unclear_texts": unclear.get(job.id, 0)}) for job in shown.items]
    return shown


@router.get("/{job_id}", operation_id="get_job", summary="Get a job", responses=problems(404, 409))
async def get_job(job_id: PathId, response: Response, context: Context, caller: ScopedReader) -> JobOut:
    """Return one job with its present state."""
    async with context.database.read() as tx:
        job = seen(await JOBS.get(tx, job_id), "job", caller)
        newest = await newest_runs(tx, [job.id], RUNS_READ)
        unclear = await count_unclear_texts(tx, [job.id])
    put_etag(response, job.version)
    return JobOut.of(job).model_copy(
        update={"hint": zone_hint(job.expectation, newest[job.id]), "unclear_texts": unclear.get(job.id, 0)}
    )


@router.post(
    "", operation_id="create_job", summary="Create a job", status_code=HTTP_201_CREATED, responses=problems(409)
)
async def create_job(body: JobCreate, response: Response, context: Context, caller: Admin) -> JobOut:
    """Add a job, for example to be alerted if it never runs."""
    async with context.database.write() as tx:
        job = await admin_jobs.create_job(
            tx,
            body.agent_id,
            body.name,
            editor_of(context, caller),
            activity=body.activity,
            expectation=body.expectation.to_expectation() if body.expectation else None,
        )
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    put_etag(response, job.version)
    return JobOut.of(job)


@router.patch("/{job_id}", operation_id="update_job", summary="Update a job", responses=problems(404, 409, 412))
async def update_job(
    job_id: PathId, body: JobUpdate, response: Response, context: Context, caller: Admin, versions: IfMatch
) -> JobOut:
    """Replace the fields that are sent; the others stay as they are.

    A new expectation begins now: no run counts as missed for the time before.
    """
    async with context.database.write() as tx:
        by = editor_of(context, caller, body.model_fields_set)
        job = await admin_jobs.update_job(tx, job_id, body.applied_to, by, versions=versions)
    put_etag(response, job.version)
    return JobOut.of(job)


@router.delete(
    "/{job_id}",
    operation_id="delete_job",
    summary="Delete a job",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 412),
)
async def delete_job(job_id: PathId, context: Context, caller: Admin, versions: IfMatch) -> None:
    """Delete a job with its runs and daily sums, and close its alerts.

    If its agent reports it again, it is created again, without its history.
    """
    await admin_jobs.delete_job(context.database, job_id, editor_of(context, caller), versions=versions)


@router.post(
    "/{job_id}:confirm-expectation",
    operation_id="confirm_job_expectation",
    summary="Confirm a learned expectation",
    responses=problems(404, 409, 412),
)
async def confirm_job_expectation(
    job_id: PathId, response: Response, context: Context, caller: Admin, versions: IfMatch
) -> JobOut:
    """Make the proposed expectation the job's own: from now on a missed run is an error like any other."""
    async with context.database.write() as tx:
        by = editor_of(context, caller)
        job = await admin_jobs.confirm_job_expectation(tx, job_id, by, versions=versions)
    put_etag(response, job.version)
    return JobOut.of(job)


@router.post(
    "/{job_id}:dismiss-expectation",
    operation_id="dismiss_job_expectation",
    summary="Expect nothing of a job",
    responses=problems(404, 409, 412),
)
async def dismiss_job_expectation(
    job_id: PathId, response: Response, context: Context, caller: Admin, versions: IfMatch
) -> JobOut:
    """Expect nothing of the job and learn nothing any more, until you set an expectation. Closes its alerts of missed runs."""
    async with context.database.write() as tx:
        by = editor_of(context, caller)
        job = await admin_jobs.dismiss_job_expectation(tx, job_id, by, versions=versions)
    put_etag(response, job.version)
    return JobOut.of(job)


@router.post(
    ":confirm-expectations",
    operation_id="confirm_job_expectations",
    summary="Confirm all learned expectations",
    responses=problems(),
)
async def confirm_job_expectations(context: Context, caller: Admin, body: JobSelection | None = None) -> JobsConfirmed:
    """Confirm the proposals of all chosen jobs, 200 at a time. Look at `GET /v1/jobs?proposed=true` first."""
    meant = body or JobSelection()
    filters = JobFilters(
        customer_id=meant.customer_id, agent_id=meant.agent_id, name=meant.name, activity=meant.activity
    )
    confirmed = await admin_jobs.confirm_job_expectations(context.database, filters, editor_of(context, caller))
    return JobsConfirmed(confirmed=confirmed, more=confirmed == admin_jobs.AT_ONCE)
