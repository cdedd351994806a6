"""Puts the endpoints of every backup tool into the app. A tool is added by one line here, one file beside it, and one dialect."""

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route

from app.http.tools import (
    apprise,
    cloudevents,
    cronhub,
    cronitor,
    gotify,
    healthchecks,
    loki,
    ntfy,
    pagerduty,
    pushover,
    reports,
    sentry_cron,
    uptime_kuma,
    zabbix,
)

_TOOLS = (
    uptime_kuma,
    cronitor,
    cronhub,
    sentry_cron,
    zabbix,
    loki,
    pagerduty,
    pushover,
    gotify,
    apprise,
    ntfy,
    cloudevents,
    reports,
    healthchecks,  # the last: its addresses may begin with the key
)


def install(app: FastAPI) -> None:
    """Add every tool's endpoints, which are not in the published schema: their shapes are the tools' own.

    They are Starlette's routes, before all others: FastAPI would look through its own hundred first, and then for parameters that
    no tool has, at a cost of more than all the rest. Only addresses at the root stand last, for they could be anybody's.
    """
    app.router.routes[:0] = [route for tool in _TOOLS for route in _plain(tool.router)]
    app.router.routes.extend(_plain(ntfy.at_root))


def _plain(router: APIRouter) -> list[BaseRoute]:
    return [
        Route(route.path, route.endpoint, methods=list(route.methods or ()), include_in_schema=False)
        for route in router.routes
        if isinstance(route, APIRoute)
    ]
