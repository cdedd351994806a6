"""Alertmanager's webhook, and Grafana's, at `/in/alertmanager/<key>`: whether an alert is a repeat depends on what is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.routing import Route

from app.context import AppContext
from app.core.errors import NotAllowed
from app.domain.event import Activity
from app.http.tools.receive import (
    ANY_METHOD,
    Tool,
    authenticate,
    header_key,
    path_parts,
    read_body,
    store_body,
    tool_request,
)
from app.intake.accept import Intake
from app.intake.dialects import alertmanager
from app.intake.dialects.alertmanager import PastAlert
from app.intake.dialects.make_event import attribute_to_sender
from app.store.events import newest_events

TOOL = Tool(alertmanager.TOOL, alertmanager.read)
_PATH = "/in/alertmanager"


@dataclass(frozen=True, slots=True)
class _PastAlerts:
    """Finds the newest stored event of an alert. A class, as a function within another cannot be sent to the process that reads."""

    agent: str | None
    newest: Mapping[tuple[str, str, str], tuple[str, datetime]]

    def __call__(self, agent: str | None, job: str, outcome: str) -> PastAlert | None:
        past = self.newest.get((self.agent or agent or TOOL.name, job, outcome))
        return None if past is None else PastAlert(*past)


async def receive_alerts(request: Request) -> Response:
    """Store a group of alerts."""
    parts = path_parts(request, _PATH)
    try:
        caller = await authenticate(request, parts[0] if parts else header_key(request))
    except NotAllowed:
        return JSONResponse({"ok": False, "error": "no such key"}, 404)
    body = await read_body(request)
    # The newest stored event of each alert that the request is about.
    intake: Intake = request.app.state.intake
    found = await intake.read_request(TOOL.name, TOOL.dialect, tool_request(request, caller, (), body), caller.sender)
    agent_of = caller.sender.agent
    events = [attribute_to_sender(event, TOOL.name, agent_of) for event in found]
    agents = {event.get("agent") or "" for event in events}
    jobs = {event.get("job") or "" for event in events}
    context: AppContext = request.app.state.context
    async with context.database.read() as tx:
        newest = await newest_events(tx, caller.sender.customer_id, Activity.OTHER, agents, jobs)
    tool = Tool(TOOL.name, partial(alertmanager.read, find_past=_PastAlerts(agent_of, newest)))
    await store_body(request, tool, caller, body)
    return JSONResponse({"ok": True})


ROUTES = [Route(path, receive_alerts, methods=list(ANY_METHOD)) for path in (_PATH, _PATH + "/{rest:path}")]
