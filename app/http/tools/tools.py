"""Puts the endpoints of every backup tool into the app. A tool is added by one line here, one file beside it, and one dialect."""

from fastapi import APIRouter
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


def routes() -> list[BaseRoute]:
    """Return every tool's routes. Paths at the root come last, for any of them could be a topic of ntfy."""
    return [route for tool in _TOOLS for route in _plain(tool.router)] + _plain(ntfy.at_root)


def _plain(router: APIRouter) -> list[BaseRoute]:
    return [
        Route(route.path, route.endpoint, methods=list(route.methods or ()), include_in_schema=False)
        for route in router.routes
        if isinstance(route, APIRoute)
    ]
