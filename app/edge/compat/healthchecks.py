"""Healthchecks' ping addresses, in any method: `/ping/<key>[/<slug>][/<signal>]`, and the same without `/ping`, as hosted Healthchecks has them.

Its clients look at status and body: 200 `OK`, 201 `Created`, 404 `not found`, 400 for an address that is wrong in itself. What came
with a wrong signal or run id is stored all the same: the client is told, and the administrator sees it.
"""

import re
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from starlette.convertors import Convertor, register_url_convertor

from app.base.errors import NotAllowed, TocsinError
from app.base.log import log
from app.edge.auth import Caller
from app.edge.compat.door import Tool, admit, hear_signal, parts_of
from app.house import House
from app.intake.accept import Intake
from app.intake.dialects import healthchecks
from app.intake.dialects.said import NotUnderstood
from app.intake.dialects.told import name
from app.manage.editing import Editor
from app.manage.jobs import expect_daily, is_known

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
    limit = {"Ping-Body-Limit": str(request.app.state.house.settings.log_limit)}
    complaint = _complaint(request, caller, path)
    new = None if complaint or request.query_params.get("create") != "1" else await _new_job(request, caller, path)
    await hear_signal(request, _TOOL, caller, path)
    if complaint:
        return _say(400, complaint, **limit)
    if new is not None:
        await _expect(request, caller, new)
        return _say(201, "Created", **limit)
    return _say(200, "OK", **limit)


def _complaint(request: Request, caller: Caller, path: Sequence[str]) -> str | None:
    """Give what Healthchecks says of an address that is wrong in itself."""
    try:
        healthchecks.meaning_of(healthchecks.split(path, has_slug=caller.job is None)[1])
    except NotUnderstood:
        return "invalid url format"
    rid = request.query_params.get("rid")
    return None if rid is None or _UUID.fullmatch(rid.lower()) else "invalid uuid format"


async def _new_job(request: Request, caller: Caller, path: Sequence[str]) -> str | None:
    """Name the job of the address if there is none by that name yet."""
    job = name(healthchecks.split(path, has_slug=caller.job is None)[0])
    agent = _agent_of(request, caller)
    if job is None or agent is None:
        return job
    house: House = request.app.state.house
    async with house.store.read() as view:
        return None if await is_known(view, agent, job) else job


async def _expect(request: Request, caller: Caller, job: str) -> None:
    """Expect a new slug each day, as Healthchecks does. The signal is stored by now, so a failure here is not the client's."""
    house: House = request.app.state.house
    agent = _agent_of(request, caller)
    try:
        async with house.store.write() as unit:
            await expect_daily(unit, agent or "", job, Editor(caller.name, house.clock(), house.bell.ring))
    except TocsinError as cause:
        log.warning("a new job could not be given its expectation", cause=cause.detail)


def _agent_of(request: Request, caller: Caller) -> str | None:
    """Give the agent's id; None for one that an enrolment key names for the first time."""
    intake: Intake = request.app.state.intake
    named = name(request.query_params.get("agent")) or healthchecks.TOOL
    return caller.agent_id or intake.agents.find(caller.customer_id or "", named)


def _say(status: int, text: str, **headers: str) -> Response:
    return Response(text, status, {"Access-Control-Allow-Origin": "*", **headers}, "text/plain")
