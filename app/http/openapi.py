"""What the published schema contains about the API as a whole: its title, licence and tags, and the schemas that no route declares."""

from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from app import __version__
from app.http.api import events
from app.http.api.dependencies import Problem
from app.http.published_schema import PublishedSchema

_DESCRIPTION = """\
Receives events from backup agents, decides alerts, and notifies the right people, once and in time.

Agents report to `POST /v1/events`. The others need a key of kind `access` with a role, `admin`
(the role owner), `viewer` (the role reader) or, for monitoring, `monitor`; `docs/rights.md` lists the role for each. An error is answered as `application/problem+json` (RFC 9457) with a stable `code`.
Every list can be downloaded whole, as CSV or NDJSON: by `?format=csv`, `?format=ndjson` or the header `Accept`.
"""
_TAGS = {
    "events": "Report what happened, and look at what was reported. An event is never changed.",
    "runs": "Executions of jobs, each put together from its events.",
    "jobs": "What agents back up, how each job stands, and when it is expected to run.",
    "status": "The present state of jobs, as one verdict or one by one; for monitoring systems, with a key of kind `monitor`.",
    "agents": "Programs on hosts that make backups and report events.",
    "customers": "Whose backups these are; every agent belongs to one customer.",
    "alerts": "Problems with a state: open, acknowledged or closed.",
    "rules": "Which events open an alert, and which close it.",
    "routes": "Which alerts go to which recipients, how they are grouped, and how often they are repeated.",
    "silences": "Times in which matching alerts are not sent.",
    "recipients": "Who is notified, and by which transports.",
    "notices": "Decisions to notify one recipient of one thing, each with its reason.",
    "messages": "Notices as they are sent, with every attempt to send them.",
    "transports": "How messages leave: their state, and tests that send one message at once.",
    "acknowledgements": "What PagerDuty and Opsgenie report of incidents there: an acknowledgement there counts here. No key is needed, but a signature.",
    "relays": "Windows hosts that send messages through a local mail client (MAPI).",
    "summary-schedules": "When a summary of all jobs is sent, to whom, and of which jobs.",
    "mail-rules": "What texts of tools mean: mails, and messages whose outcome is read from words.",
    "canaries": "Small mails that we send to ourselves once a day, to see that mail arrives.",
    "ignored-mails": "Mails that report nothing, such as bounces: kept for a week.",
    "connect": "What to copy into a backup tool so that it reports to us.",
    "keys": "Keys of administrators, agents, relays and monitoring systems. A key is shown once, when it is created.",
    "share-links": "Secret addresses of badges, calendars and walls, which work without a key. The token is shown once, when it is created.",
    "retention": "For how long events and history are kept.",
    "audit": "Who changed what, and when.",
    "health": "Whether the service works; for load balancers and monitoring. No key is needed.",
    "downloads": "Our programs for other hosts, each as one file. No key is needed.",
}

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_OF_BODIES = {
    "400": {"description": "The body cannot be read.", "content": _PROBLEM},
    "408": {"description": "The body did not arrive in time.", "content": _PROBLEM},
    "413": {"description": "The body is too large.", "content": _PROBLEM},
}


def make_api(**options: Any) -> FastAPI:  # noqa: ANN401  (FastAPI's own parameters)
    """Return a FastAPI app without routes. Its documentation page loads nothing from the internet, which a backup host may not reach."""
    api = FastAPIOffline(
        title="Tocsin",
        summary="Monitors backups and notifies people.",
        description=_DESCRIPTION,
        version=__version__,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        contact={
            "name": "Tocsin",
            "url": "https://tocsin.example/contact",
        },  # a reserved name until there is a public page
        openapi_tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        docs_url="/docs",
        redoc_url=None,
        static_url="/docs/static",
        **options,
    )
    generate = api.openapi

    def openapi() -> dict[str, Any]:
        schema = generate()
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        schemas |= events.request_schemas()
        schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own error schemas, which we never send
            schemas.pop(unused, None)
        for path, methods in schema["paths"].items():
            for operation in methods.values():
                if "requestBody" in operation and path != events.PATH:  # whatever reads a body can refuse it
                    operation["responses"] = dict(sorted({**_OF_BODIES, **operation["responses"]}.items()))
        schemas["JsonValue"]["description"] = "Any JSON value."  # Pydantic's type has none
        return schema

    api.openapi = openapi  # type: ignore[method-assign]  # FastAPI documents it: "Extending OpenAPI"
    # Before FastAPI's own route of this path, which renders it for each request.
    api.router.routes.insert(0, PublishedSchema(api).route(str(api.openapi_url)))
    return api
