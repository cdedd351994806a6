"""Healthchecks' ping paths, in any method: `/ping/<key>[/<slug>][/<signal>]`, and without `/ping`, as hosted Healthchecks has them.

Its clients look at status and body: 200 `OK`, 201 `Created`, 404 `not found`, 400 for a path that is malformed. A wrong signal or
run id is answered 400 and stored all the same, so that the administrator sees it too.
"""

import re
from collections.abc import Sequence

from fastapi import Request, Response
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Route

from app.admin.editing import Editor
from app.admin.jobs import expect_daily_backup, is_known_backup
from app.context import AppContext
from app.core.errors import NotAllowed, OverBudget, TocsinError
from app.core.log import log
from app.domain.budget import Budget
from app.http.auth import Caller
from app.http.tools.receive import ANY_METHOD, Tool, authenticate, path_parts, store_signal
from app.intake.accept import Intake
from app.intake.dialects import healthchecks
from app.intake.dialects.make_event import limit_name
from app.intake.dialects.tool_request import NotUnderstood
from app.intake.validate import keep_own_names

TOOL = Tool(healthchecks.TOOL, healthchecks.read)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class _Key(Convertor[str]):
    """What can be a key as the first part of a path: longer than any word that our own paths begin with."""

    regex = "[A-Za-z0-9_-]{20,200}"

    def convert(self, value: str) -> str:
        """Return it unchanged."""
        return value

    def to_string(self, value: str) -> str:
        """Return it unchanged."""
        return value


register_url_convertor("key", _Key())


async def receive_signal(request: Request) -> Response:
    """Store one signal of a job."""
    key, *path = path_parts(request, "/ping/", "/in/healthchecks/") or [""]
    try:
        caller = await authenticate(request, key)
    except NotAllowed:
        return _text(404, "not found")
    limit = {"Ping-Body-Limit": str(request.app.state.context.settings.log_limit)}
    error = _path_error(request, caller, path)
    # Before the signal is stored: if the process is killed between the two, a job would exist that nothing is expected of.
    is_new = not error and request.query_params.get("create") == "1" and await _create(request, caller, path)
    await store_signal(request, TOOL, caller, path)
    if error:
        return _text(400, error, **limit)
    return _text(201, "Created", **limit) if is_new else _text(200, "OK", **limit)


def _path_error(request: Request, caller: Caller, path: Sequence[str]) -> str | None:
    """Return what Healthchecks answers to a path or a run id that is malformed."""
    try:
        healthchecks.parse_signal(healthchecks.split_path(path, has_slug=caller.job is None)[1])
    except NotUnderstood:
        return "invalid url format"
    rid = request.query_params.get("rid")
    return None if rid is None or _UUID.fullmatch(rid.lower()) else "invalid uuid format"


async def _create(request: Request, caller: Caller, path: Sequence[str]) -> bool:
    """Create the job of a path, expected each day as Healthchecks does, unless it exists; return whether it was created."""
    job = limit_name(healthchecks.split_path(path, has_slug=caller.job is None)[0])
    if job is None:
        return False
    context: AppContext = request.app.state.context
    intake: Intake = request.app.state.intake
    try:
        agent = caller.agent_id
        if agent is None:  # an enrolment key can name an agent for the first time
            name = limit_name(request.query_params.get("agent")) or healthchecks.TOOL
            agent = await intake.let_in(caller.sender, keep_own_names(name, job))
        async with context.database.read() as tx:
            if await is_known_backup(tx, agent, job):
                return False
        intake.commits.new_names.take_one(Budget.JOBS, caller.budgets, caller.agent_name or "")
        async with context.database.write() as tx:
            await expect_daily_backup(
                tx, agent, job, Editor(caller.name, context.clock(), context.wakeups.wake, (), caller.key_id)
            )
    except OverBudget:  # so is the signal, unless it reports a failure
        return False
    except TocsinError as error:  # the signal itself can still be stored
        log.warning("a new job could not get its expectation", cause=error.detail)
        return False
    return True


def _text(status: int, text: str, **headers: str) -> Response:
    return Response(text, status, {"Access-Control-Allow-Origin": "*", **headers}, "text/plain")


ROUTES = [
    Route(path, receive_signal, methods=list(ANY_METHOD))
    for path in ("/ping/{rest:path}", "/in/healthchecks/{rest:path}", "/{key:key}", "/{key:key}/{rest:path}")
]
