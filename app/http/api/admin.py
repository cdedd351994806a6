"""Adds the administrative API to the app: one router for each resource."""

from fastapi import FastAPI

from app.http.api import (
    acknowledgements,
    agents,
    alerts,
    audit,
    canaries,
    connect,
    customers,
    event_views,
    ignored_mails,
    jobs,
    keys,
    mail_rules,
    messages,
    notices,
    recipients,
    relays,
    retention,
    routes,
    rules,
    runs,
    share_links,
    silences,
    status,
    summary_schedules,
    transports,
)

_NOUNS = (
    customers,
    agents,
    jobs,
    status,
    event_views,
    runs,
    alerts,
    notices,
    messages,
    recipients,
    routes,
    rules,
    mail_rules,
    ignored_mails,
    silences,
    summary_schedules,
    transports,
    acknowledgements,
    canaries,
    relays,
    keys,
    share_links,
    connect,
    retention,
    audit,
)


def install(app: FastAPI) -> None:
    """Add the routers of all resources."""
    for noun in _NOUNS:
        app.router.routes.extend(noun.router.routes)
