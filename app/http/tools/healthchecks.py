"""Healthchecks' ping addresses, in any method: `/ping/<key>[/<slug>][/<signal>]`, and the same without `/ping`, as hosted Healthchecks has them.

Its clients look at status and body: 200 `OK`, 201 `Created`, 404 `not found`, 400 for an address that is wrong in itself. What came
with a wrong signal or run id is stored all the same: the client is told, and the administrator sees it.
"""

import re
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from starlette.convertors import Convertor, register_url_convertor

from app.admin.agents import enrol_agent
from app.admin.editing import Editor
from app.admin.jobs import expect_daily_backup, is_known_backup
from app.context import AppContext
from app.core.errors import NotAllowed, TocsinError
from app.core.log import log
from app.http.auth import Caller
from app.http.tools.tool_auth import Tool, admit, hear_signal, parts_of
from app.intake.accept import Intake
from app.intake.dialects import healthchecks
from app.intake.dialects.make_event import limit_name
from app.intake.dialects.tool_request import NotUnderstood

MOUNTS = ("/ping", "/in/healthchecks")
_TOOL = Tool(healthchecks.TOOL, healthchecks.read)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_METHODS = ["GET", "HEAD", "POST"]


class _Key(Convertor[str]):
    """What can be a key at the beginning of an address: longer than any word that ours begin with."""

    regex = "[A-Za-z0-9_-]{20,200}"

    def convert(self, value: str) -> str:
        """Take it as it is."""
        return value

    def to_string(self, value: str) -> str:
        """Take it as it is."""
        return value


register_url_convertor("key", _Key())
router = APIRouter(include_in_schema=False)


@router.api_route("/ping/{rest:path}", methods=_METHODS)
@router.api_route("/in/healthchecks/{rest:path}", methods=_METHODS)
@router.api_route("/{key:key}", methods=_METHODS)
@router.api_route("/{key:key}/{rest:path}", methods=_METHODS)
async def take_signal(request: Request) -> Response:
    """Take one signal in."""
    mount = next((mount for mount in MOUNTS if request.url.path.startswith(mount + "/")), "")
    key, *path = parts_of(request, mount) or [""]
    try:
        caller = await admit(request, key)
    except NotAllowed:
        return _say(404, "not found")
    limit = {"Ping-Body-Limit": str(request.app.state.context.settings.log_limit)}
    complaint = _complaint(request, caller, path)
    # Before the signal is stored: a kill between the two would leave a job that is known, and expected by nobody.
    is_new = not complaint and request.query_params.get("create") == "1" and await _create(request, caller, path)
    await hear_signal(request, _TOOL, caller, path)
    if complaint:
        return _say(400, complaint, **limit)
    return _say(201, "Created", **limit) if is_new else _say(200, "OK", **limit)


def _complaint(request: Request, caller: Caller, path: Sequence[str]) -> str | None:
    """Give what Healthchecks says of an address that is wrong in itself."""
    try:
        healthchecks.parse_signal(healthchecks.split_path(path, has_slug=caller.job is None)[1])
    except NotUnderstood:
        return "invalid url format"
    rid = request.query_params.get("rid")
    return None if rid is None or _UUID.fullmatch(rid.lower()) else "invalid uuid format"


async def _create(request: Request, caller: Caller, path: Sequence[str]) -> bool:
    """Expect the job of an address each day, as Healthchecks does, if there is none by that name yet; say whether that is so."""
    job = limit_name(healthchecks.split_path(path, has_slug=caller.job is None)[0])
    if job is None:
        return False
    context: AppContext = request.app.state.context
    try:
        agent = await _agent_of(request, caller)
        async with context.database.read() as tx:
            if await is_known_backup(tx, agent, job):
                return False
        async with context.database.write() as tx:
            await expect_daily_backup(tx, agent, job, Editor(caller.name, context.clock(), context.wakeups.wake))
    except TocsinError as cause:  # no reason to turn the signal away
        log.warning("a new job could not be given its expectation", cause=cause.detail)
        return False
    return True


async def _agent_of(request: Request, caller: Caller) -> str:
    """Give the agent's id; one that an enrolment key names for the first time is made."""
    if caller.agent_id is not None:
        return caller.agent_id
    context: AppContext = request.app.state.context
    intake: Intake = request.app.state.intake
    agent = (caller.customer_id or "", limit_name(request.query_params.get("agent")) or healthchecks.TOOL)
    remembered = intake.agents.find(*agent)
    if remembered is not None:
        return remembered
    async with context.database.write() as tx:
        agent_id = await enrol_agent(tx, *agent, context.clock())
    intake.agents.remember({agent: agent_id})
    return agent_id


def _say(status: int, text: str, **headers: str) -> Response:
    return Response(text, status, {"Access-Control-Allow-Origin": "*", **headers}, "text/plain")
