"""What a person copies to connect a tool: each tool's lines, with our address and a key filled in.

Only the hash of a key is stored, so an old key cannot be shown. The lines therefore contain `<key>`, or the key with which an agent
asks; POST creates a new key that fits the tool, and shows it once.
"""

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse
from starlette.status import HTTP_201_CREATED

from app.admin import keys as admin_keys
from app.context import AppContext
from app.core.errors import BadInput, NotFound, WrongScope
from app.domain.agent import Agent
from app.domain.key import KeyForm, KeyKind
from app.domain.person import Role
from app.http.api.dependencies import Admin, Authenticator, Context, editor_of, problems
from app.http.api.fields import Id, Name, StrictModel, example
from app.http.auth import Caller, NeedRole, key_in
from app.http.tools.setup_lines import TOOL_SETUPS, SetupValues, ToolSetup, fill_in
from app.store.agents import AGENTS

router = APIRouter(prefix="/v1/connect", tags=["connect"])

_Asker = Annotated[Caller, Depends(NeedRole(Role.READER, frozenset({KeyKind.AGENT})))]
_TEXT = {
    "content": {"text/plain": {"schema": {"type": "string"}}},
    "description": "The lines; as text if `Accept` asks for it.",
}


class ToolLinesOut(BaseModel):
    """One tool, and what to copy into it."""

    tool: str = Field(description="Its name in this API.")
    title: str = Field(description="Its name for people.")
    key_form: KeyForm = Field(description="The form of keys that the tool accepts.")
    needs_job: bool = Field(description="Whether the key has to name the job, because the tool cannot.")
    lines: list[str] = Field(description="What to copy; fill in what is in <>.")
    example: str = Field(description="A shell command that reports a failure, so that you see the alert.")
    page: str = Field(description="The page of the documentation with more.")


class ConnectOut(BaseModel):
    """How tools are connected."""

    agent: str | None = Field(description="The name of the agent whose tools are connected.")
    job: str | None = Field(description="The job that is filled in.")
    tools: list[ToolLinesOut] = Field(description="The tools.")


class ConnectCreated(ConnectOut):
    """A key that was just created, and the lines with it."""

    key_id: str = Field(description="The id of the key.")
    key: str = Field(description="The key itself. Nobody can see it again.")


class ConnectCreate(
    StrictModel,
    json_schema_extra=example(agent_id="agt_0193a5f2c4d10123456789abcdef0123", tool="restic", job="nightly"),
):
    """Which tool of which agent to connect."""

    agent_id: Annotated[Id, Field(description="The agent.")]
    tool: str = Field(max_length=40, examples=["restic"], description="The tool, as `GET /v1/connect` names it.")
    job: Name | None = Field(None, description="What it backs up; needed where the tool cannot name a job.")


class ConnectQuery(StrictModel):
    """Which lines are wanted."""

    agent_id: Id | None = Field(
        None, description="The agent for which the lines are; with an agent's own key, that agent."
    )
    tool: str | None = Field(None, max_length=40, description="Only the lines of this tool.")
    job: Name | None = Field(None, description="The job to fill in.")


@router.get(
    "",
    operation_id="get_connect_lines",
    summary="Get the lines that connect tools",
    response_model=ConnectOut,
    responses=problems(404) | {200: _TEXT},
)
async def get_connect_lines(
    query: Annotated[ConnectQuery, Query()], request: Request, context: Context, caller: _Asker
) -> Response:
    """Return what to copy into each tool. If the request is made with an agent's own key, that key is filled in, otherwise `<key>`."""
    name = key = None
    if caller.kind is KeyKind.AGENT:
        if query.agent_id not in (None, caller.agent_id):
            raise WrongScope("this key belongs to another agent")
        name = caller.agent_name
        key = key_in(request.headers.get("authorization", ""), request.headers.get("x-tocsin-key", ""))
    elif query.agent_id is not None:
        async with context.database.read() as tx:
            name = (await AGENTS.get(tx, query.agent_id)).name
    job = query.job or caller.job
    chosen = TOOL_SETUPS if query.tool is None else (find_tool(query.tool),)
    return _answer(request, ConnectOut(agent=name, job=job, tools=tool_lines(context, chosen, key, job)))


@router.post(
    "",
    operation_id="connect_tool",
    summary="Create a key for a tool, with its lines",
    status_code=HTTP_201_CREATED,
    response_model=ConnectCreated,
    responses=problems(404) | {201: _TEXT},
)
async def connect_tool(
    body: ConnectCreate, request: Request, context: Context, authenticator: Authenticator, caller: Admin
) -> Response:
    """Create an agent's key that fits the tool, and show it once, in the lines to copy."""
    row = find_tool(body.tool)
    async with context.database.write() as tx:
        agent = await AGENTS.get(tx, body.agent_id)
        wanted = key_for(row, agent, body.job)
        key, clear = await admin_keys.create_key(tx, context.secret, wanted, editor_of(context, caller))
        tx.after_commit(authenticator.forget)
    tools = tool_lines(context, (row,), clear, body.job)
    created = ConnectCreated(agent=agent.name, job=body.job, tools=tools, key_id=key.id, key=clear)
    return _answer(request, created, HTTP_201_CREATED)


def key_for(row: ToolSetup, agent: Agent, job: str | None) -> admin_keys.NewKey:
    """Return the key that a tool of an agent needs. Raises BadInput where the tool cannot name a job and none is given."""
    if not row.names_job and job is None:
        raise BadInput(f"{row.tool} cannot name a job, so its key must: enter a job", code="job_missing", field="job")
    return admin_keys.NewKey(
        kind=KeyKind.AGENT,
        name=f"{agent.name}'s {row.tool}"[:200],
        agent_id=agent.id,
        job=None if row.names_job else job,
        form=row.form,
    )


def find_tool(tool: str) -> ToolSetup:
    """Return the row of a tool. Raises NotFound."""
    found = next((row for row in TOOL_SETUPS if row.tool == tool), None)
    if found is None:
        raise NotFound(f"there is no tool {tool!r}; GET /v1/connect names them")
    return found


def tool_lines(context: AppContext, rows: Iterable[ToolSetup], key: str | None, job: str | None) -> list[ToolLinesOut]:
    """Return what to copy into each tool, with our address, and the key and the job where they are given."""
    place = SetupValues(context.settings.public_url, key, job, context.settings.mail_in_port)
    return [
        ToolLinesOut(
            tool=row.tool,
            title=row.title,
            key_form=row.form,
            needs_job=not row.names_job,
            lines=[fill_in(line, place) for line in row.lines],
            example=fill_in(row.example, place),
            page=row.page,
        )
        for row in rows
    ]


def _answer(request: Request, shown: ConnectOut, status: int = 200) -> Response:
    """Return the answer in the form that `Accept` asks for. No cache may store it, because it may contain a key."""
    headers = {"Cache-Control": "no-store"}
    if "text/plain" in request.headers.get("accept", ""):
        parts = [
            "\n".join([f"# {one.title} ({one.page})", *one.lines, "# try it, by a failure:", one.example])
            for one in shown.tools
        ]
        return PlainTextResponse("\n\n".join(parts) + "\n", status, headers=headers)
    return Response(shown.model_dump_json(), status, headers=headers, media_type="application/json")
