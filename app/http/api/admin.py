"""Puts the whole administrative API into the app, and its one way of saying no into the published schema."""

from typing import Any

from fastapi import FastAPI

from app.http.api import (
    agents,
    alerts,
    audit,
    connect,
    customers,
    event_views,
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
    silences,
    summary_schedules,
    transports,
)
from app.http.api.dependencies import Problem

_NOUNS = (
    customers,
    agents,
    jobs,
    event_views,
    runs,
    alerts,
    notices,
    messages,
    recipients,
    routes,
    rules,
    mail_rules,
    silences,
    summary_schedules,
    transports,
    relays,
    keys,
    connect,
    retention,
    audit,
)


def install(app: FastAPI) -> None:
    """Add every noun. Call it after all other routes: it also fixes how the schema is made."""
    for noun in _NOUNS:
        app.include_router(noun.router)
    made = app.openapi

    def openapi() -> dict[str, Any]:
        schema = made()
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
