"""Puts the endpoints of every backup tool into the app. A tool is added by one line here, one file beside it, and one dialect."""

from fastapi import FastAPI

from app.edge.compat import (
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
    cloudevents,
    reports,
    healthchecks,  # the last but one: its addresses may begin with the key
    ntfy,  # the last: its addresses may begin with a topic, which is shorter than a key
)


def install(app: FastAPI) -> None:
    """Add every tool's endpoints. They are not in the published schema: their shapes are the tools' own."""
    for tool in _TOOLS:
        app.include_router(tool.router)
