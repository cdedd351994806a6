"""The routes that the start does not wait for: importing the API and the endpoints of all tools takes half of the start's time."""

from collections.abc import Iterable

from fastapi import FastAPI
from starlette.routing import BaseRoute

from app.core.passwords import Passwords
from app.http import badge, calendar, downloads, exports, job_metrics, metrics, relay, relay_setup, unsubscribe
from app.http.api import admin, events, status
from app.http.pages import (
    account,
    answer,
    connect,
    dashboard,
    errors,
    people,
    provider,
    relays,
    service,
    service_audit,
    service_keys,
    service_links,
    sign_in,
    sign_out,
    wall,
)
from app.http.tools import mounts


def install(api: FastAPI) -> Iterable[BaseRoute]:
    """Add the API's routes to `api`, and return those of tools."""
    # Added as they are: include_router would analyse every route a second time, which is a tenth of a second at each start.
    for part in (
        events,
        metrics,
        job_metrics,
        badge,
        calendar,
        relay,
        relay_setup,
        downloads,
        unsubscribe,
        sign_in,
        provider,
        sign_out,
        account,
        answer,
        dashboard,
        connect,
        people,
        relays,
        service,
        service_audit,
        service_keys,
        service_links,
        wall,
    ):
        api.router.routes.extend(part.router.routes)
    admin.install(api)
    exports.export_lists(api.router.routes)
    api.state.setup_tries = relay_setup.SetupTries()
    api.state.status_cache, api.state.scrape_turns = status.StatusCache(), job_metrics.ScrapeTurns()
    api.state.passwords = Passwords()
    api.state.error_page = errors.ErrorPage(api.router.routes)
    return mounts.routes()
