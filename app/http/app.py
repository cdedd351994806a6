"""The front of the HTTP process: one router that finds the endpoint of a request, inside one middleware (http/middleware.py).

    SafetyMiddleware
      HttpApp                 hot endpoints, by their exact path, without what only streamed answers need of the middleware
        RouteTable            tools' routes and the API, by the first two segments of the path
          FastAPI
            RouteTable        the API's routes, by the same two segments

A request pays for no route that comes before its own: FastAPI tries its routes one after the other, which took 1.2 ms for the
last of 100.

The hot endpoints and the routes that `api` has at the start answer at once. The others are loaded behind them; who asks for one waits.
"""

import re
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from urllib.parse import parse_qsl, unquote

from fastapi import FastAPI, Response
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Router
from starlette.types import Receive, Scope, Send

from app.core.errors import BadInput
from app.core.loading import load_in_turn
from app.http.middleware import SafetyMiddleware

_ANY = "*"
# Never a topic: who sends what these do not take uses the wrong address, and the answer lists the methods.
_OWN_WORDS = ("healthz", "readyz", "metrics", "docs", "openapi.json", "downloads")
_TOPIC_ACTIONS = ("publish", "send", "trigger")  # `/<topic>/publish` is a message to ntfy
_DOUBLE_SLASH, _SLASHES = b"//", re.compile(rb"/{2,}")
_Key = tuple[str, ...]
# Answers a POST without FastAPI. Raises TocsinError.
HotEndpoint = Callable[[Scope, Receive], Awaitable[Response]]


class HttpApp(SafetyMiddleware):
    """The ASGI app that the server calls for every request: the middleware, and inside it the choice of the endpoint."""

    def __init__(
        self,
        api: FastAPI,
        *,
        hot_paths: Collection[str],
        install: Callable[[FastAPI], Iterable[BaseRoute]],
        over_tls: bool,
    ) -> None:
        """Serve the routes that `api` has; `install` adds all others to it, and returns those of tools.

        Endpoints at `hot_paths` bound the bodies of their requests themselves.
        """
        self._api = api
        self.hot_endpoints: Mapping[str, HotEndpoint] = {}  # by path; the start of the app fills them in
        self._early = frozenset(path for route in api.routes if isinstance(route, APIRoute) for path in [route.path])
        self._install = install
        self._loading = threading.Lock()
        self._routes: RouteTable | None = None
        super().__init__(self._dispatch, over_tls=over_tls, own_limits=hot_paths)

    def load(self) -> "RouteTable":
        """Load the other routes, unless that was done. Takes some tenths of a second."""
        with self._loading:
            if self._routes is None:
                tool_routes = self._install(self._api)
                api_routes = [(route, _paths_of(route)) for route in self._api.routes]
                api_paths = [path for _, paths in api_routes for path in paths]
                self._routes = RouteTable(
                    [
                        (_ApiRoute(self._api, api_routes), api_paths),
                        *((route, _paths_of(route)) for route in tool_routes),
                    ]
                )
                self._api.router.routes.insert(0, _TableRoute(RouteTable(api_routes)))
            return self._routes

    @property
    def api(self) -> FastAPI:
        """The API with all of its routes."""
        self.load()
        return self._api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. `//` in its path counts as `/`: an address that ends in a slash is often put before a path that begins with one."""
        if scope["type"] == "http" and _DOUBLE_SLASH in scope.get("raw_path", b""):
            raw_path = _SLASHES.sub(b"/", scope["raw_path"])
            scope = {**scope, "raw_path": raw_path, "path": unquote(raw_path.partition(b"?")[0].decode("latin-1"))}
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self.hot_endpoints.get(scope["path"])
            if endpoint is not None:
                await self.serve_whole(endpoint(scope, receive), scope, send)
                return
        await super().__call__(scope, receive, send)

    @property
    def state(self) -> State:
        """What the endpoints of this process share."""
        return self._api.state

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._api(scope, receive, send)
            return
        scope["app"] = self._api
        routes = self._routes
        if routes is None:
            if scope["path"] in self._early:
                await self._api(scope, receive, send)
                return
            routes = await load_in_turn(self.load)
        await routes.find(scope["path"])(scope, receive, send)


class RouteTable:
    """Finds the routes that can serve a path by its first two segments, instead of trying all routes one after the other.

    Takes each route with its path patterns, such as `/v1/jobs/{job_id}`; a parameter in a pattern fits any segment. Among routes
    that fit the same two segments, the order stays.
    """

    def __init__(self, routes: Sequence[tuple[BaseRoute, Iterable[str]]]) -> None:
        numbers: dict[_Key, list[int]] = {}  # of the routes with such a pattern
        for number, (_, paths) in enumerate(routes):
            for key in {_key_of_pattern(path) for path in paths}:
                numbers.setdefault(key, []).append(number)
        fitting = _fitting_keys(numbers)
        self._routers = {}
        for key in numbers:
            found = sorted({number for other in fitting[key] for number in numbers[other]})
            self._routers[key] = Router([routes[number][0] for number in found], redirect_slashes=False)
        self._nothing = Router(redirect_slashes=False)

    def find(self, path: str) -> Router:
        """Return the router of a path; one that answers 404 if no route begins like it."""
        return next((self._routers[key] for key in _keys_of(path) if key in self._routers), self._nothing)


class _ApiRoute(BaseRoute):
    """Hands the requests that begin like a path of the API to FastAPI, which answers 404 and 405 itself.

    Outside of `/v1/` are our pages, and any word there can be a topic of ntfy too: what a page does not take is left to the tools, or
    the report of a failure to the topic `alerts` would be lost.
    """

    def __init__(self, api: FastAPI, routes: Iterable[tuple[BaseRoute, Iterable[str]]]) -> None:
        self._api = api
        self._methods: dict[_Key, set[str]] = {}
        for route, paths in routes:
            for path in paths:
                self._methods.setdefault(_key_of_pattern(path), set()).update(getattr(route, "methods", None) or ())

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match what begins like a path of the API."""
        path: str = scope["path"]
        found = [key for key in _keys_of(path) if key in self._methods]
        if found and path[1:].partition("/")[0] not in ("v1", *_OWN_WORDS):
            if path.rpartition("/")[2] in _TOPIC_ACTIONS:
                found = [key for key in found if _ANY not in key]
            found = [key for key in found if scope["method"] in self._methods[key] or not self._methods[key]]
        return (Match.FULL if found else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request over."""
        await self._api(scope, receive, send)


class _TableRoute(BaseRoute):
    """The first of the API's routes. It takes every request to the table; FastAPI reads the routes after it for the schema only."""

    def __init__(self, table: RouteTable) -> None:
        self._table = table

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match every HTTP request."""
        return (Match.FULL if scope["type"] == "http" else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to the router of its path. Raises BadInput and HTTPException for text that no database column can hold."""
        _refuse_nul(scope["path"], scope["query_string"])
        await self._table.find(scope["path"])(scope, receive, send)


def _refuse_nul(path: str, query: bytes) -> None:
    """Refuse NUL in an address: PostgreSQL takes none in a text, and each query that compares one would fail as a bug of ours."""
    if b"%00" in query or b"\0" in query:
        for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
            if "\0" in name + value:
                field = name.replace("\0", "")
                raise BadInput(
                    f"{field}: it has the character NUL, which cannot be stored", code="bad_form", field=field
                )
    if "\0" in path:
        # The address of a share link answers the same whatever is wrong with it.
        if path.startswith("/v1/") and not path.startswith("/v1/calendar/"):
            raise BadInput("the path has the character NUL, which no id has", code="bad_form", field="path")
        raise HTTPException(404)


def _paths_of(route: BaseRoute) -> list[str]:
    """Return the path patterns of a route; an included router has many."""
    return [context.path for context in iter_route_contexts([route]) if context.path is not None]


def _key_of_pattern(pattern: str) -> _Key:
    segments = pattern[1:].split("/", 2)[:2]
    return tuple(_ANY if segment.startswith("{") else segment for segment in segments)


def _keys_of(path: str) -> tuple[_Key, ...]:
    """Return the keys whose patterns can fit a path, the most exact first."""
    first, slash, rest = path[1:].partition("/")
    if not slash:
        return (first,), (_ANY,)
    second = rest.partition("/")[0]
    return (first, second), (first, _ANY), (_ANY, second), (_ANY, _ANY)


def _fitting_keys(keys: Collection[_Key]) -> dict[_Key, set[_Key]]:
    """Return for each key those that fit some of the same paths, itself among them."""
    with_segment: defaultdict[tuple[int, int, str], set[_Key]] = defaultdict(set)  # length of the keys, place, segment
    of_length: defaultdict[int, set[_Key]] = defaultdict(set)
    for key in keys:
        of_length[len(key)].add(key)
        for place, segment in enumerate(key):
            with_segment[len(key), place, segment].add(key)
    fitting: dict[_Key, set[_Key]] = {}
    for key in keys:
        choices = [
            with_segment[len(key), place, segment] | with_segment[len(key), place, _ANY]
            for place, segment in enumerate(key)
            if segment != _ANY
        ]
        fitting[key] = set.intersection(*choices) if choices else of_length[len(key)]
    return fitting
