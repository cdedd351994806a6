"""The endpoints that understand what other tools already send: one table of mounts, each with its paths, its key and its answers.

A new tool is a row in `MOUNTS`, a dialect in app/intake/dialects/ and a row in setup_lines.py. It gets a file here only if its
answers depend on what it sends, or its key on more than one place. None of these endpoints is in the published schema: their shapes
belong to the tools. They are Starlette's routes, for FastAPI would look for parameters that no tool has.
"""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from app.core.errors import NotAllowed
from app.http.auth import Caller
from app.http.tools import alertmanager, cloudevents, healthchecks, ntfy, zabbix
from app.http.tools.receive import ANY_METHOD, Tool, authenticate, header_key, path_parts, store_report, store_signal
from app.intake.accept import IntakeResult
from app.intake.dialects import (
    apprise,
    backrest,
    borg,
    cronhub,
    cronitor,
    duplicati,
    gotify,
    kopia,
    loki,
    pagerduty,
    proxmox,
    pushover,
    restic,
    resticprofile,
    sentry_cron,
    synology,
    uptime_kuma,
)

_KeyAndPath = tuple[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Mount:
    """Paths of one tool.

    `find_key` returns the key of a request and the parts of the path that the dialect reads. `store` is `store_signal` where the
    path has the main information and the body is a log, else `store_report`. `refused` answers an unknown key.
    """

    tool: Tool
    paths: tuple[str, ...]
    methods: tuple[str, ...]
    find_key: Callable[[Request], _KeyAndPath]
    store: Callable[[Request, Tool, Caller, Sequence[str]], Awaitable[IntakeResult]]
    accepted: Callable[[], Response]
    refused: Callable[[], Response]


def routes() -> list[BaseRoute]:
    """Return the routes of every tool. Paths at the root come last, for any of them could be a topic of ntfy."""
    mounted = [Route(path, _endpoint(mount), methods=list(mount.methods)) for mount in MOUNTS for path in mount.paths]
    return [*mounted, *(route for tool in SEPARATE for route in tool.ROUTES), *ntfy.ROUTES_AT_ROOT]


def _endpoint(mount: Mount) -> Callable[[Request], Awaitable[Response]]:
    async def receive(request: Request) -> Response:
        key, path = mount.find_key(request)
        try:
            caller = await authenticate(request, key)
        except NotAllowed:
            return mount.refused()
        await mount.store(request, mount.tool, caller, path)
        return mount.accepted()

    return receive


def _first_part(*prefixes: str) -> Callable[[Request], _KeyAndPath]:
    """Find the key in the first part of the path after a prefix; the parts after it are for the dialect."""

    def find(request: Request) -> _KeyAndPath:
        key, *path = path_parts(request, *prefixes) or [""]
        return key, path

    return find


def _first_part_or_header(*prefixes: str) -> Callable[[Request], _KeyAndPath]:
    """Find the key in the first part of the path after a prefix, or else in a header."""

    def find(request: Request) -> _KeyAndPath:
        key, *path = path_parts(request, *prefixes) or [header_key(request)]
        return key, path

    return find


def _cronitor_key(request: Request) -> _KeyAndPath:
    """Find the key in `/p/<key>/<monitor>`, with or without `/in/cronitor` before it."""
    parts = path_parts(request, "/in/cronitor")
    key, *path = (parts[1:] if parts[:1] == ["p"] else parts) or [""]
    return key, path


def _cronhub_key(request: Request) -> _KeyAndPath:
    """Find the key in `/<state>/<key>`, or in `/in/cronhub/<key>/<state>/<id>`, where the tool's own address follows the key."""
    parts = path_parts(request, "/in/cronhub")
    state, key, *rest = (*parts, "", "")[: max(2, len(parts))]
    if state not in cronhub.STATES and key in cronhub.STATES:
        state, key = key, state
    return key, [state, *rest]


def _sentry_key(request: Request) -> _KeyAndPath:
    """Find the key and the monitor in `/api/<project>/cron/<monitor>/<key>/`, which Sentry makes of `http://<key>@host/<project>`."""
    monitor = path_parts(request)[3]
    return request.path_params["key"], [monitor]


def _gotify_key(request: Request) -> _KeyAndPath:
    """Find the key in Gotify's own places before `Authorization`, which may be for a proxy on the way."""
    key = request.query_params.get("token") or request.headers.get("x-gotify-key") or header_key(request)
    return key, ()


def _gotify_key_in_path(request: Request) -> _KeyAndPath:
    """Find the key in `/in/gotify/<key>/message`, for a tool that has a field for the server only."""
    key = next((part for part in path_parts(request, "/in/gotify") if part != "message"), "")
    return (key, ()) if key else _gotify_key(request)


def _without_path(find: Callable[[Request], _KeyAndPath]) -> Callable[[Request], _KeyAndPath]:
    return lambda request: (find(request)[0], ())


def _text(status: int, text: str) -> Callable[[], Response]:
    return lambda: Response(text, status, media_type="text/plain")


def _json(status: int, content: object) -> Callable[[], Response]:
    return lambda: JSONResponse(content, status)


def _kuma_json(status: int, body: bytes) -> Callable[[], Response]:
    """Answer with exactly these bytes: some clients of Uptime Kuma compare them."""
    return lambda: Response(body, status, {"Access-Control-Allow-Origin": "*"}, "application/json")


def _gotify_message() -> Response:
    # Nobody reads the message. Repeating it would let anybody make this host show a text of theirs.
    message = {"id": 1, "appid": 1, "message": "", "title": "", "priority": 0, "date": datetime.now(UTC).isoformat()}
    return JSONResponse(message)


def _pushover_accepted() -> Response:
    return JSONResponse({"status": 1, "request": str(uuid.uuid4())})


def _pushover_refused() -> Response:
    errors = ["application token is invalid"]
    return JSONResponse({"status": 0, "request": str(uuid.uuid4()), "errors": errors}, 400)


def _generic(tool: Tool, store: Callable[[Request, Tool, Caller, Sequence[str]], Awaitable[IntakeResult]]) -> Mount:
    """Return the mount of a tool, or of a line in a script, that posts to a path of our own: `/in/<tool>/<key>`, in any method."""
    path = f"/in/{tool.name}"
    return Mount(
        tool,
        (path, path + "/{rest:path}"),
        ANY_METHOD,
        _first_part_or_header(path),
        store,
        accepted=_json(200, {"ok": True}),
        refused=_json(404, {"ok": False, "error": "no such key"}),
    )


_GOTIFY_REFUSED = {
    "error": "Unauthorized",
    "errorCode": 401,
    "errorDescription": "you need to provide a valid access token or user credentials to access this api",
}
_LOKI = Tool(loki.TOOL, loki.read)
_GOTIFY = Tool(gotify.TOOL, gotify.read)

MOUNTS: tuple[Mount, ...] = (
    Mount(
        Tool(uptime_kuma.TOOL, uptime_kuma.read),
        ("/api/push/{rest:path}", "/in/uptime-kuma/{rest:path}"),
        (*ANY_METHOD, "DELETE"),  # as Uptime Kuma itself
        _first_part("/api/push", "/in/uptime-kuma"),
        store_signal,
        accepted=_kuma_json(200, b'{"ok":true}'),
        refused=_kuma_json(404, b'{"ok":false,"msg":"Monitor not found or not active."}'),
    ),
    Mount(
        Tool(cronitor.TOOL, cronitor.read),
        ("/p/{rest:path}", "/in/cronitor/{rest:path}"),
        ANY_METHOD,
        _cronitor_key,
        store_signal,
        accepted=_text(200, "OK"),
        refused=_text(404, "Not Found"),
    ),
    # Cronhub's `/ping/<key>` is Healthchecks' too, and served there.
    Mount(
        Tool(cronhub.TOOL, cronhub.read),
        ("/start/{rest:path}", "/finish/{rest:path}", "/fail/{rest:path}", "/in/cronhub/{rest:path}"),
        ANY_METHOD,
        _cronhub_key,
        store_signal,
        accepted=_text(200, "OK"),
        refused=_text(404, "Not Found"),
    ),
    Mount(
        Tool(sentry_cron.TOOL, sentry_cron.read),
        ("/api/{project}/cron/{monitor}/{key}", "/api/{project}/cron/{monitor}/{key}/"),
        ANY_METHOD,
        _sentry_key,
        store_signal,
        accepted=lambda: Response("{}", 202, media_type="application/json"),
        refused=lambda: Response('{"detail":"project not found"}', 404, media_type="application/json"),
    ),
    *(
        Mount(
            _LOKI,
            (path,),
            ("POST",),
            find_key,
            store_report,
            accepted=lambda: Response(status_code=204),
            refused=lambda: Response("no org id\n", 401, {"WWW-Authenticate": 'Basic realm="tocsin"'}, "text/plain"),
        )
        for path, find_key in (
            ("/loki/api/v1/push", lambda request: (header_key(request), ())),  # Loki's clients log in
            ("/in/loki/{rest:path}", _without_path(_first_part_or_header("/in/loki"))),
        )
    ),
    Mount(
        Tool(pagerduty.TOOL, pagerduty.read),
        ("/in/pagerduty/{rest:path}",),
        ("POST",),
        _without_path(_first_part("/in/pagerduty")),
        store_report,
        accepted=_json(202, {"status": "success", "message": "Event processed", "dedup_key": "tocsin"}),
        refused=_json(400, {"status": "invalid event", "message": "Event object is invalid", "errors": ["the key"]}),
    ),
    Mount(
        Tool(pushover.TOOL, pushover.read),
        ("/in/pushover/{rest:path}",),
        ("POST",),
        _without_path(_first_part("/in/pushover")),
        store_report,
        accepted=_pushover_accepted,
        refused=_pushover_refused,
    ),
    *(
        Mount(
            _GOTIFY,
            paths,
            ("POST", "PUT"),
            find_key,
            store_report,
            accepted=_gotify_message,
            refused=_json(401, _GOTIFY_REFUSED),
        )
        for paths, find_key in (
            (("/message", "/gotify/message"), _gotify_key),
            (("/in/gotify/{rest:path}",), _gotify_key_in_path),
        )
    ),
    # Where Apprise's `json://`, `xml://`, `form://` or `apprise://` send notifications.
    Mount(
        Tool(apprise.TOOL, apprise.read),
        ("/in/apprise", "/in/apprise/{rest:path}", "/notify", "/notify/{rest:path}"),
        ("GET", "POST", "PUT"),
        _first_part_or_header("/in/apprise", "/notify"),
        store_report,
        accepted=_json(200, {"error": None}),
        refused=_json(404, {"error": "no such key"}),
    ),
    # The body of these three is a program's output, which is cut if it is too long: the path has the main information.
    *(_generic(Tool(tool.TOOL, tool.read), store_signal) for tool in (borg, restic, resticprofile)),
    *(_generic(Tool(tool.TOOL, tool.read), store_report) for tool in (backrest, duplicati, kopia, proxmox, synology)),
)
# Healthchecks is the last: its paths may begin with the key.
SEPARATE = (alertmanager, ntfy, cloudevents, zabbix, healthchecks)
