"""What a person copies to connect a tool: each tool's lines, with our address and a key filled in.

A key is kept as its hash, so nobody can be shown an old one. So the lines hold `<key>`, or the key that an agent asks with; or POST
makes a new one that fits the tool, and shows it this once.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse
from starlette.status import HTTP_201_CREATED

from app.admin import keys
from app.context import AppContext
from app.core.errors import BadInput, NotFound, WrongScope
from app.domain.key import KeyForm, KeyKind
from app.http.api.dependencies import Admin, Context, editor_of, problems
from app.http.api.fields import Id, Name, StrictModel
from app.http.auth import Caller, KeyAuthenticator, key_in, need
from app.http.tools.lines import TABLE, Lines, Place, filled
from app.store.agents import AGENTS

_Asker = Annotated[Caller, Depends(need(KeyKind.ADMIN, KeyKind.VIEWER, KeyKind.AGENT))]
_TEXT = {
    "content": {"text/plain": {"schema": {"type": "string"}}},
    "description": "The lines; as text if `Accept` says so.",
}


class ToolLines(BaseModel):
    """One tool, and what to copy into it."""

    tool: str
    title: str
    key_form: KeyForm = Field(description="How a key looks that the tool takes for its own.")
    needs_job: bool = Field(description="Whether the key has to name the job, as the tool cannot.")
    lines: list[str] = Field(description="What to copy; what stands in <> is for you to fill in.")
    example: str = Field(description="For a shell: tells of a failure, so that you see the alert.")
    page: str = Field(description="Where the documentation says more.")


class Connect(BaseModel):
    """How tools are connected."""

    agent: str | None
    job: str | None
    tools: list[ToolLines]


class Connected(Connect):
    """A key just made, and the lines with it."""

    key_id: str
    key: str = Field(description="The key itself. Nobody can see it again.")


class ConnectIn(StrictModel):
    """Which tool of which agent is to be connected."""

    agent_id: Id
    tool: str = Field(max_length=40, examples=["restic"], description="As `GET /v1/connect` names it.")
    job: Name | None = Field(None, description="What it backs up; needed where the tool cannot name a job.")


class ConnectQuery(StrictModel):
    """What can be asked."""

    agent_id: Id | None = Field(None, description="Whose lines; an agent's own key asks for its own.")
    tool: str | None = Field(None, max_length=40, description="Only this tool's.")
    job: Name | None = Field(None, description="The job to fill in.")


router = APIRouter(prefix="/v1/connect", tags=["connect"])


@router.get("", summary="Show the lines to copy", response_model=Connect, responses=problems(404) | {200: _TEXT})
async def show_lines(
    query: Annotated[ConnectQuery, Query()], request: Request, context: Context, caller: _Asker
) -> Any:  # noqa: ANN401
    """Show what to copy into each tool. Asked with an agent's own key, its key stands in the lines, else `<key>`."""
    key = None
    if caller.kind is KeyKind.AGENT:
        if query.agent_id not in (None, caller.agent_id):
            raise WrongScope("this key is of another agent")
        name, key = (
            caller.agent_name,
            key_in(request.headers.get("authorization", ""), request.headers.get("x-tocsin-key", "")),
        )
    elif query.agent_id is not None:
        async with context.database.read() as tx:
            name = (await AGENTS.get(tx, query.agent_id)).name
    else:
        name = None
    job = query.job or caller.job
    chosen = TABLE if query.tool is None else (_row(query.tool),)
    return _answer(request, Connect(agent=name, job=job, tools=_lines(context, chosen, key, job)))


@router.post(
    "",
    summary="Make a key for a tool, with its lines",
    status_code=HTTP_201_CREATED,
    response_model=Connected,
    responses=problems(404) | {201: _TEXT},
)
async def connect_tool(given: ConnectIn, request: Request, context: Context, caller: Admin) -> Any:  # noqa: ANN401
    """Make an agent's key that fits the tool, and show it this once, in the lines to copy."""
    row = _row(given.tool)
    if not row.names_job and given.job is None:
        raise BadInput(f"{row.tool} cannot name a job, so its key has to: give one", code="job_missing", field="job")
    authenticator: KeyAuthenticator = request.app.state.authenticator
    async with context.database.write() as tx:
        name = (await AGENTS.get(tx, given.agent_id)).name
        wanted = keys.NewKey(
            kind=KeyKind.AGENT,
            name=f"{name}'s {row.tool}"[:200],
            agent_id=given.agent_id,
            job=None if row.names_job else given.job,
            form=row.form,
        )
        made, clear = await keys.create(tx, context.secret, wanted, editor_of(context, caller))
        tx.after_commit(authenticator.forget)
    tools = _lines(context, (row,), clear, given.job)
    return _answer(
        request, Connected(agent=name, job=given.job, tools=tools, key_id=made.id, key=clear), HTTP_201_CREATED
    )


def _row(tool: str) -> Lines:
    found = next((row for row in TABLE if row.tool == tool), None)
    if found is None:
        raise NotFound(f"there is no tool {tool!r}; GET /v1/connect names them")
    return found


def _lines(context: AppContext, rows: Iterable[Lines], key: str | None, job: str | None) -> list[ToolLines]:
    place = Place(context.settings.public_url, key, job, context.settings.mail_in_port)
    return [
        ToolLines(
            tool=row.tool,
            title=row.title,
            key_form=row.form,
            needs_job=not row.names_job,
            lines=[filled(line, place) for line in row.lines],
            example=filled(row.example, place),
            page=row.page,
        )
        for row in rows
    ]


def _answer(request: Request, shown: Connect, status: int = 200) -> Response:
    """Word it as asked. No cache may keep it: a key may stand in it."""
    unkept = {"Cache-Control": "no-store"}
    if "text/plain" in request.headers.get("accept", ""):
        parts = [
            "\n".join([f"# {one.title} ({one.page})", *one.lines, "# try it, by a failure:", one.example])
            for one in shown.tools
        ]
        return PlainTextResponse("\n\n".join(parts) + "\n", status, headers=unkept)
    return Response(shown.model_dump_json(), status, headers=unkept, media_type="application/json")
