"""Jobs over HTTP: what agents back up, and when that is expected."""

from datetime import datetime
from typing import Self

from pydantic import Field, model_validator

from app.domain.event import Activity
from app.domain.expectation import check_cron
from app.domain.job import JobState
from app.edge.api.editable import Editable, router_of
from app.edge.api.fields import YEAR_S, Given, Id, Name, Shown, Zone
from app.edge.paging import Paged
from app.manage import jobs


class ExpectationModel(Given):
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


class JobEdit(Given):
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


class JobsQuery(Paged):
    """What the list can be asked."""

    customer_id: Id | None = None
    agent_id: Id | None = None
    name: Name | None = None
    activity: Activity | None = None
    state: JobState | None = None
    expected: bool | None = Field(None, description="Whether the job has an expectation.")


router = router_of(
    Editable(
        path="jobs",
        noun=jobs.NOUN,
        query=JobsQuery,
        given=JobIn,
        edit=JobEdit,
        shown=Job,
        deletion="Deletes it with its runs and daily sums and closes its alerts. If its agent reports it again, it begins anew.",
    )
)
