"""The route table finds the same route as trying all routes in order, by the first two segments of a path alone."""

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Route

from app.core.settings import load_settings
from app.http.app import RouteTable
from app.main import create_app


async def answer(request: Request) -> Response:
    return PlainTextResponse(request.url.path)


PATTERNS = [
    "/healthz",
    "/in/restic",
    "/in/restic/{rest:path}",
    "/api/push/{rest:path}",
    "/api/{project}/cron/{monitor}/{key}",
    "/p/{rest:path}",
    "/message",
    "/v1/jobs",
    "/v1/jobs/{job_id}",
    "/v1/jobs:confirm",
    "/v1/jobs/{job_id}:confirm",
    "/downloads/{name}",
    "/{topic}",
    "/{topic}/publish",
]
ROUTES = [Route(pattern, answer) for pattern in PATTERNS]
TABLE = RouteTable([(route, [route.path]) for route in ROUTES])


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/healthz",
        "/healthz/",
        "/in/restic",
        "/in/restic/",
        "/in/restic/key/more",
        "/in/borg/key",
        "/in",
        "/api/push/key",
        "/api/push",
        "/api/1/cron/nightly/key",
        "/p/",
        "/p",
        "/message",
        "/message/",
        "/v1/jobs",
        "/v1/jobs/job_1",
        "/v1/jobs:confirm",
        "/v1/jobs/job_1:confirm",
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/downloads",
        "/downloads/tocsin-relay.pyz",
        "/topic",
        "/topic/publish",
        "/topic/publish/more",
        "/p/publish",
        "/in/publish",
        "//",
    ],
)
def test_a_path_reaches_the_first_route_that_fits_it(path: str):
    scope = {"type": "http", "path": path, "method": "GET"}

    def first(routes: list[Route]) -> Route | None:
        return next((route for route in routes if route.matches(scope)[0] is Match.FULL), None)

    assert first(TABLE.find(path).routes) is first(ROUTES)


def test_no_route_pays_for_those_before_it():
    """However many routes there are, only those that share the first two segments are tried."""
    app = create_app(load_settings())
    table = app.load()
    tried = {path: len(table.find(path).routes) for path in ("/v1/audit", "/in/restic/key", "/ping/key", "/healthz")}
    assert max(tried.values()) <= 8, tried
    api = next(route for route in app.api.routes)._table
    tried = {path: len(api.find(path).routes) for path in ("/v1/audit", "/v1/jobs/x", "/healthz")}
    assert max(tried.values()) <= 8, tried
