"""How jobs stand, for monitoring systems: one verdict over many jobs, and the jobs one by one. A key of kind `monitor` is enough."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.status import HTTP_304_NOT_MODIFIED

from app.context import AppContext
from app.core.errors import NotFound, WrongScope
from app.domain.job_status import JobCounts, PipelineState, ShownState, StatusVerdict, judge_status
from app.domain.matcher import read_matcher
from app.http.api.dependencies import Context, Monitor, problems
from app.http.api.fields import Id, PathId
from app.http.auth import Caller
from app.http.paging import Paged, PageOut
from app.store.job_states import (
    TROUBLE,
    JobChoice,
    JobStatus,
    count_jobs,
    newest_report,
    page_job_statuses,
    worst_jobs,
)
from app.store.pipeline_state import read_pipeline_state
from app.store.repository import Page

router = APIRouter(prefix="/v1/status", tags=["status"])
WORST_MOST = 50
KEPT = timedelta(seconds=3)
CHOICES_MOST = 200
MESSAGE_MOST = 500
_MATCH = (
    "A condition that must be met; can be repeated. A field (`customer`, `agent`, `job`, `activity`, `message`, `label:NAME`), then "
    "`=`, `!=`, `~` or `!~`, then a value, in which `*` and `?` count after `~` and `!~`; case does not matter."
)
Matches = Annotated[list[str], Field(max_length=50, description=_MATCH, examples=[["agent~sql*", "label:site=hq"]])]
OfCustomer = Annotated[Id | None, Field(description="Only jobs of this customer.")]


class ChoiceQuery(BaseModel):
    """Which jobs are asked for."""

    model_config = ConfigDict(extra="forbid")

    customer_id: OfCustomer = None
    match: Matches = Field(default_factory=list)

    @field_validator("match")
    @classmethod
    def _can_be_read(cls, written: list[str]) -> list[str]:
        for one in written:
            read_matcher(one)
        return written

    def choice(self, caller: Caller) -> JobChoice:
        """Return the choice for the store, within what the caller's key may see. Raises WrongScope."""
        return choice_of(caller, self.customer_id, self.match)


def own_customers(caller: Caller) -> tuple[str, ...] | None:
    """Return the customers that a key may see; None: every one."""
    return caller.customers if caller.customer_id is None else (caller.customer_id,)


def choice_of(caller: Caller, customer_id: str | None, match: list[str]) -> JobChoice:
    """Return which jobs are meant, within what the caller's key may see. Raises WrongScope."""
    own = own_customers(caller)
    if own is not None and customer_id is not None and customer_id not in own:
        raise WrongScope("this key is for another customer")
    return JobChoice(own if customer_id is None else (customer_id,), tuple(map(read_matcher, match)))


class StatusQuery(ChoiceQuery):
    """Which jobs the verdict is about."""

    worst: int = Field(10, ge=0, le=WORST_MOST, description="How many of the worst jobs are shown.")


class JobStatusOut(BaseModel):
    """The present state of a job, with its times and amounts."""

    id: str = Field(description="Its id.")
    customer: str = Field(description="The name of its customer.")
    agent: str = Field(description="The name of its agent.")
    job: str = Field(description="Its name.")
    activity: str = Field(description="What it does.")
    state: ShownState = Field(
        description="How its newest run ended. `unclear`: its report does not show it. `missed`: it did not run in time. `overrun`: a run takes too long."
    )
    failing_since: datetime | None = Field(description="Since when it fails or is missed; null if it does neither.")
    last_run_at: datetime | None = Field(description="When its newest run ended, or was missed.")
    last_success_at: datetime | None = Field(description="When its newest successful run ended.")
    running_since: datetime | None = Field(description="When the present run began; null if none is running.")
    next_due_at: datetime | None = Field(description="When it should run next; null if nothing is expected.")
    overdue_at: datetime | None = Field(description="When it counts as missed, unless a run begins or ends before.")
    failures_in_row: int = Field(description="Failed runs in a row, since the last run that made a backup.")
    warnings_in_row: int = Field(description="Runs with warnings since the last success.")
    missed_in_row: int = Field(description="Missed runs since the last run.")
    last_outcome: str | None = Field(description="Outcome of its newest ended run that is not unclear.")
    message: str | None = Field(description=f"Message of that run, {MESSAGE_MOST} characters of it at most.")
    duration_s: float | None = Field(description="Seconds that its newest ended run took.")
    bytes_processed: float | None = Field(description="Bytes that this run read.")
    bytes_stored: float | None = Field(description="Bytes that this run stored.")
    files: float | None = Field(description="Files that this run processed.")

    @classmethod
    def of(cls, job: JobStatus) -> Self:
        """Return a job as the API shows it."""
        return cls(
            id=job.id,
            customer=job.customer,
            agent=job.agent,
            job=job.job,
            activity=job.activity,
            state=ShownState(job.state),
            failing_since=_moment(job.failing_since),
            last_run_at=_moment(job.last_run_at),
            last_success_at=_moment(job.last_success_at),
            running_since=_moment(job.running_since),
            next_due_at=_moment(job.next_due_at),
            overdue_at=_moment(job.overdue_at),
            failures_in_row=job.failures_in_row,
            warnings_in_row=job.warnings_in_row,
            missed_in_row=job.missed_in_row,
            last_outcome=job.last_outcome,
            message=job.message and job.message[:MESSAGE_MOST],
            duration_s=job.duration_s,
            bytes_processed=job.bytes_processed,
            bytes_stored=job.bytes_stored,
            files=job.files,
        )


class JobStatusPage(PageOut[JobStatusOut]):
    """A page of jobs with their present states."""


class CountsOut(BaseModel):
    """How many jobs there are of each kind."""

    jobs: int = Field(description="All that match.")
    failed: int = Field(description="Jobs whose newest run failed.")
    missed: int = Field(description="Jobs that did not run in time.")
    overrun: int = Field(
        description="Jobs with a run that takes too long or is considered lost, if no later run has shown a result."
    )
    unclear: int = Field(description="Jobs for which the report of the newest run does not show how it ended.")
    warning: int = Field(description="Jobs whose newest run ended with warnings.")
    new: int = Field(description="Jobs that have not ended a run yet.")
    ok: int = Field(description="Jobs whose newest run succeeded.")
    overdue: int = Field(description="Jobs that should have run by now; each is also counted in its state.")
    running: int = Field(description="Jobs that are running now; each is also counted in its state.")
    silent_agents: int = Field(description="Agents that did not report for longer than they may.")

    @classmethod
    def of(cls, counts: JobCounts) -> Self:
        """Return counts as the API shows them."""
        return cls(jobs=counts.jobs, **{name: getattr(counts, name) for name in cls.model_fields if name != "jobs"})


class StatusOut(BaseModel):
    """The verdict on all jobs that match."""

    verdict: StatusVerdict = Field(
        description="`critical`: a job failed, was missed or runs too long, or an agent is silent; `warning`: some ended with warnings or unclear; "
        "`unknown`: no job matches, none has run, or the states are not up to date; otherwise `ok`."
    )
    reason: str = Field(description="Why, in words.")
    is_current: bool = Field(
        description="Whether the states are up to date: a worker runs, and no report waits for minutes."
    )
    counts: CountsOut = Field(description="How many jobs are in each state.")
    worst: list[JobStatusOut] = Field(description="The jobs with problems, the worst first.")
    newest_report_at: datetime | None = Field(description="When the newest report of an agent of these jobs came.")
    newest_report_age_s: int | None = Field(
        description="Age of `newest_report_at` in seconds. The ETag does not depend on it."
    )


@dataclass(frozen=True, slots=True)
class KeptStatus:
    """What was read at a moment."""

    at: datetime
    pipeline: PipelineState
    counts: JobCounts
    newest: datetime | None
    worst: Sequence[JobStatus]


@dataclass(slots=True)
class StatusCache:
    """The newest answers. The jobs are counted every few seconds at most, however many programs ask."""

    kept: dict[tuple[JobChoice, int], KeptStatus] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def read(self, context: AppContext, choice: JobChoice, worst: int) -> KeptStatus:
        """Return the status of these jobs, at most a few seconds old."""
        now = context.clock()
        async with self.lock:
            kept = self.kept.get((choice, worst))
            if kept is None or not timedelta() <= now - kept.at < KEPT:
                async with context.database.read() as tx:
                    pipeline = await read_pipeline_state(tx, choice.customer_ids)
                    counts, newest = await count_jobs(tx, choice, now), await newest_report(tx, choice)
                    has_trouble = any(getattr(counts, state) for state in TROUBLE)
                    jobs = await worst_jobs(tx, choice, now, worst) if has_trouble and worst else []
                kept = self.kept[choice, worst] = KeptStatus(now, pipeline, counts, newest, jobs)
                if len(self.kept) > CHOICES_MOST:
                    del self.kept[next(iter(self.kept))]
        return kept


def status_cache(request: Request) -> StatusCache:
    """Return what this process keeps."""
    cache: StatusCache = request.app.state.status_cache
    return cache


@router.get(
    "",
    response_model=StatusOut,
    operation_id="get_status",
    summary="Get one verdict on many jobs",
    responses=problems() | {304: {"description": "Nothing but the age changed since the ETag that was sent."}},
)
async def get_status(
    query: Annotated[StatusQuery, Query()],
    response: Response,
    context: Context,
    caller: Monitor,
    cache: Annotated[StatusCache, Depends(status_cache)],
    if_none_match: Annotated[
        str | None, Header(max_length=500, description="The ETag of the answer that the client has.")
    ] = None,
) -> StatusOut | Response:
    """Return one verdict on all jobs that match, with counts and the worst jobs."""
    choice, now = query.choice(caller), context.clock()
    kept = await cache.read(context, choice, query.worst)
    pipeline, counts, newest, worst = kept.pipeline, kept.counts, kept.newest, kept.worst
    stale_because = pipeline.stale_because(now)
    judged = judge_status(counts, stale_because)
    found = StatusOut(
        verdict=judged.verdict,
        reason=judged.reason,
        is_current=stale_because is None,
        counts=CountsOut.of(counts),
        worst=[JobStatusOut.of(job) for job in worst],
        newest_report_at=newest,
        newest_report_age_s=None if newest is None else max(0, int((now - newest).total_seconds())),
    )
    shown = found.model_dump_json(exclude={"newest_report_age_s"})
    etag = f'W/"{hashlib.sha256(shown.encode()).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if if_none_match is not None and etag in (tag.strip() for tag in if_none_match.split(",")):
        return Response(status_code=HTTP_304_NOT_MODIFIED, headers=headers)
    response.headers.update(headers)
    return found


class JobStatusesQuery(Paged, ChoiceQuery):
    """Which jobs the list shows."""

    state: Annotated[list[ShownState], Field(max_length=7, description="Only jobs in this state; can be repeated.")] = (
        Field(default_factory=list)
    )


@router.get("/jobs", operation_id="list_job_statuses", summary="List the states of jobs", responses=problems())
async def list_job_statuses(
    query: Annotated[JobStatusesQuery, Query()], context: Context, caller: Monitor
) -> JobStatusPage:
    """Return jobs in the order of their creation, each with its state, times and amounts."""
    chosen, window = query.choice(caller), query.window("job")
    choice = JobChoice(chosen.customer_ids, chosen.matchers, tuple(query.state))
    async with context.database.read() as tx:
        found = await page_job_statuses(tx, choice, context.clock(), after=window.after or "", limit=window.limit + 1)
    items = tuple(JobStatusOut.of(job) for job in found[: window.limit])
    return JobStatusPage.of(Page(items, items[-1].id if len(found) > window.limit else None))


@router.get("/jobs/{job_id}", operation_id="get_job_status", summary="Get the state of a job", responses=problems(404))
async def get_job_status(job_id: PathId, context: Context, caller: Monitor) -> JobStatusOut:
    """Return one job with its state, times and amounts."""
    choice = JobChoice(own_customers(caller), job_id=job_id)
    async with context.database.read() as tx:
        found = await page_job_statuses(tx, choice, context.clock(), limit=1)
    if not found:
        raise NotFound(f"there is no job {job_id}")
    return JobStatusOut.of(found[0])


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
