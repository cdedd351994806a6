"""Puts the endpoints of every backup tool into the app. A tool is added by one line here, one file beside it, and one dialect."""

from fastapi import FastAPI

from app.edge.compat import (
    cronhub,
    cronitor,
    gotify,
    healthchecks,
    loki,
    outputs,
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
    outputs,
    pagerduty,
    pushover,
    gotify,
    reports,
    healthchecks,  # the last: its addresses may begin with the key
)


def install(app: FastAPI) -> None:
    """Add every tool's endpoints. They are not in the published schema: their shapes are the tools' own."""
    for tool in _TOOLS:
        app.include_router(tool.router)
