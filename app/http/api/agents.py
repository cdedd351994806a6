"""Agents over HTTP: the programs that make backups and report them."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from app.admin import agents as admin_agents
from app.core.ids import new_id
from app.domain.agent import Agent, AgentState
from app.http.api.dependencies import Admin, Authenticator, Context, ScopedReader, editor_of, problems
from app.http.api.fields import (
    YEAR_S,
    CreatedAt,
    Id,
    Labels,
    Name,
    OptionalSeconds,
    OutId,
    OutModel,
    PathId,
    StrictModel,
    Version,
    example,
    left_out,
    seconds_or_none,
)
from app.http.api.scoped_query import narrowed, seen
from app.http.etag import IfMatch, put_etag
from app.http.paging import Paged, PageOut
from app.intake.accept import Intake
from app.store.agents import AGENTS, page_agents

router = APIRouter(prefix="/v1/agents", tags=["agents"])

_STATE = (
    "approved; waiting: a key that asks for approval let it in: its events are stored and its failures reported, nothing is expected "
    "of it, and its successes do not count; rejected: enrolment keys refuse its events."
)
_SILENT_AFTER = "Seconds without any report after which the agent counts as silent; null: the rules decide."
SilentAfter = Annotated[int | None, Field(ge=60, le=YEAR_S, description=_SILENT_AFTER)]


class AgentCreate(
    StrictModel,
    json_schema_extra=example(
        customer_id="cus_0193a5f2c4d10123456789abcdef0123", name="sql01", labels={"site": "hq"}, silent_after_s=172800
    ),
):
    """An agent to create. An agent that reports with an enrolment key is created by its first report."""

    customer_id: Annotated[Id, Field(description="The customer whose backups it makes.")]
    name: Annotated[Name, Field(description="Its name, unique within the customer.", examples=["sql01"])]
    labels: Labels = Field(default_factory=dict)
    silent_after_s: SilentAfter = None

    def to_agent(self, agent_id: str, at: datetime) -> Agent:
        """Return the agent, created at `at`."""
        return Agent(
            id=agent_id,
            customer_id=self.customer_id,
            name=self.name,
            created_at=at,
            labels=self.labels,
            silent_after=seconds_or_none(self.silent_after_s),
        )


class AgentUpdate(StrictModel, json_schema_extra=example(labels={"site": "branch"})):
    """The fields of an agent to change; a field that is left out stays as it is."""

    labels: Labels = left_out()
    silent_after_s: SilentAfter = left_out()

    def applied_to(self, agent: Agent) -> Agent:
        """Return the agent with the fields that were sent."""
        if "labels" in self.model_fields_set:
            agent = replace(agent, labels=self.labels)
        if "silent_after_s" in self.model_fields_set:
            agent = replace(agent, silent_after=seconds_or_none(self.silent_after_s))
        return agent


class AgentOut(OutModel):
    """An agent."""

    id: OutId
    version: Version
    customer_id: str = Field(description="The customer whose backups it makes.")
    name: str = Field(description="Its name, unique within the customer.")
    labels: dict[str, str] = Field(description="Names and values of your own, for matchers.")
    silent_after_s: OptionalSeconds = Field(validation_alias="silent_after", description=_SILENT_AFTER)
    last_heard_at: datetime | None = Field(description="When its newest event arrived; null: never.")
    clock_offset_s: OptionalSeconds = Field(
        validation_alias="clock_offset",
        description="By how many seconds its clock is behind ours (negative: ahead), as its reports show; null: no report shows that it is wrong.",
    )
    silent_at: datetime | None = Field(
        description="When it counts as silent, if no event arrives until then and one of its expected runs is overdue; null: never."
    )
    state: AgentState = Field(description=_STATE)
    enrolled_by: str | None = Field(description="The id of the enrolment key that let it in; null: none, or not known.")
    created_at: CreatedAt


class AgentPage(PageOut[AgentOut]):
    """A page of agents."""


class AgentsQuery(Paged):
    """Filters of the list of agents."""

    customer_id: Annotated[Id | None, Field(description="Only agents of this customer.")] = None
    name: Annotated[Name | None, Field(description="Only agents with this name.")] = None
    state: Annotated[
        AgentState | None, Field(description="Only agents in this state; `waiting` for those to approve.")
    ] = None


@router.get("", operation_id="list_agents", summary="List agents", responses=problems())
async def list_agents(query: Annotated[AgentsQuery, Query()], context: Context, caller: ScopedReader) -> AgentPage:
    """Return agents in the order of their creation."""
    async with context.database.read() as tx:
        window = query.window(AGENTS.prefix)
        page = await page_agents(
            tx, window, customer_id=narrowed(query, caller).customer_id, name=query.name, state=query.state
        )
    return AgentPage.of(page)


@router.get("/{agent_id}", operation_id="get_agent", summary="Get an agent", responses=problems(404, 409))
async def get_agent(agent_id: PathId, response: Response, context: Context, caller: ScopedReader) -> AgentOut:
    """Return one agent."""
    async with context.database.read() as tx:
        agent = seen(await AGENTS.get(tx, agent_id), "agent", caller)
    put_etag(response, agent.version)
    return AgentOut.of(agent)


@router.post(
    "",
    operation_id="create_agent",
    summary="Create an agent",
    status_code=HTTP_201_CREATED,
    responses=problems(409),
)
async def create_agent(body: AgentCreate, response: Response, context: Context, caller: Admin) -> AgentOut:
    """Add an agent, for which you then create a key of its own."""
    async with context.database.write() as tx:
        by = editor_of(context, caller)
        agent = await admin_agents.create_agent(tx, body.to_agent(new_id("agt"), by.at), by)
    response.headers["Location"] = f"/v1/agents/{agent.id}"
    put_etag(response, agent.version)
    return AgentOut.of(agent)


@router.patch("/{agent_id}", operation_id="update_agent", summary="Update an agent", responses=problems(404, 409, 412))
async def update_agent(
    agent_id: PathId, body: AgentUpdate, response: Response, context: Context, caller: Admin, versions: IfMatch
) -> AgentOut:
    """Replace the fields that are sent; the others stay as they are."""
    async with context.database.write() as tx:
        by = editor_of(context, caller, body.model_fields_set)
        agent = await admin_agents.update_agent(tx, agent_id, body.applied_to, by, versions=versions)
    put_etag(response, agent.version)
    return AgentOut.of(agent)


@router.post(
    "/{agent_id}:approve",
    operation_id="approve_agent",
    summary="Approve an agent",
    responses=problems(404, 409),
)
async def approve_agent(agent_id: PathId, response: Response, context: Context, caller: Admin) -> AgentOut:
    """Let an agent in that waits for approval, or that was rejected. From now on it counts as every other agent."""
    async with context.database.write() as tx:
        agent = await admin_agents.approve_agent(tx, agent_id, editor_of(context, caller))
    put_etag(response, agent.version)
    return AgentOut.of(agent)


@router.post("/{agent_id}:reject", operation_id="reject_agent", summary="Reject an agent", responses=problems(404, 409))
async def reject_agent(
    agent_id: PathId,
    request: Request,
    response: Response,
    context: Context,
    authenticator: Authenticator,
    caller: Admin,
) -> AgentOut:
    """Refuse an agent that waits for approval: enrolment keys refuse its events (403 `agent_rejected`), its alerts are closed.

    It stays listed, so that its name stays refused, until you approve or delete it. An agent that was approved stays (409).
    """
    intake: Intake = request.app.state.intake
    async with context.database.write() as tx:
        agent = await admin_agents.reject_agent(tx, agent_id, editor_of(context, caller))
        tx.after_commit(intake.agents.forget)
        tx.after_commit(authenticator.forget)
    put_etag(response, agent.version)
    return AgentOut.of(agent)


@router.delete(
    "/{agent_id}",
    operation_id="delete_agent",
    summary="Delete an agent",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 412),
)
async def delete_agent(
    agent_id: PathId,
    request: Request,
    context: Context,
    authenticator: Authenticator,
    caller: Admin,
    versions: IfMatch,
) -> None:
    """Delete an agent, revoke its keys and close its alerts; refused (409) while it has jobs.

    If it reports again with an enrolment key, it is created again.
    """
    intake: Intake = request.app.state.intake
    async with context.database.write() as tx:
        await admin_agents.delete_agent(tx, agent_id, editor_of(context, caller), versions=versions)
        # Otherwise its name would stand for an id that is gone, and its keys would be accepted for some seconds.
        tx.after_commit(intake.agents.forget)
        tx.after_commit(authenticator.forget)
