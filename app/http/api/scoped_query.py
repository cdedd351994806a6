"""The filters that the lists of events, runs, alerts, notices and messages share."""

from typing import Annotated

from pydantic import Field

from app.http.api.fields import Id, Name
from app.http.paging import PagedByTime
from app.store.scope import Scope


class ScopedQuery(PagedByTime):
    """Whose rows a list shows. An id and a name that do not belong together match nothing."""

    customer_id: Annotated[Id | None, Field(description="Only those of this customer.")] = None
    agent_id: Annotated[Id | None, Field(description="Only those of this agent.")] = None
    agent: Annotated[Name | None, Field(description="Only those of agents with this name.")] = None
    job_id: Annotated[Id | None, Field(description="Only those of this job.")] = None
    job: Annotated[Name | None, Field(description="Only those of jobs with this name.")] = None

    def scope(self) -> Scope:
        """Return these filters for the store."""
        return Scope(self.customer_id, self.agent_id, self.agent, self.job_id, self.job)
