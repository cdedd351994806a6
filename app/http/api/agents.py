"""Agents over HTTP: the programs that make backups and report them."""

from datetime import datetime

from pydantic import Field
from starlette.datastructures import State

from app.admin import agents
from app.http.api.editable import Editable, router_of
from app.http.api.fields import YEAR_S, Id, Labels, Name, Shown, StrictModel
from app.http.paging import Paged


class AgentEdit(StrictModel):
    """What can be changed of an agent."""

    labels: Labels = Field(default_factory=dict)
    silent_after_s: int | None = Field(
        None,
        ge=60,
        le=YEAR_S,
        description="Seconds without a word after which it is called silent; null: the rules decide.",
    )


class AgentIn(AgentEdit):
    """An agent as it is given. One that reports with an enrolment key is created by itself."""

    customer_id: Id
    name: Name = Field(examples=["sql01"])


class Agent(Shown):
    """An agent."""

    customer_id: str
    name: str
    labels: dict[str, str]
    silent_after_s: int | None
    last_heard_at: datetime | None
    silent_at: datetime | None = Field(
        description="When it is called silent if it says nothing until then; null: never."
    )
    created_at: datetime


class AgentsQuery(Paged):
    """What the list can be asked."""

    customer_id: Id | None = None
    name: Name | None = None


def _forget(state: State) -> None:
    """Else its name would stand for an id that is gone, and its key would be let in for some seconds."""
    state.intake.agents.forget()
    state.authenticator.forget()


router = router_of(
    Editable(
        path="agents",
        noun=agents.NOUN,
        query=AgentsQuery,
        given=AgentIn,
        edit=AgentEdit,
        shown=Agent,
        deletion="Deletes it, revokes its keys and closes its alerts; refused (409) while it has jobs. With an enrolment key it comes back.",
        once_deleted=_forget,
    )
)
