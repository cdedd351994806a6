"""The rim of every request: security headers on each answer, and the last catch, where a defect of ours becomes a 500."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.base.log import log
from app.edge.problems import problem

_DOCS = ("/docs", "/redoc")
_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
# Swagger's page takes its script and style from this CDN, and starts itself by a script in the page.
_DOCS_POLICY = (
    "default-src 'none'; frame-ancestors 'none'; connect-src 'self'; img-src 'self' data: https://fastapi.tiangolo.com; "
    "script-src 'unsafe-inline' https://cdn.jsdelivr.net; style-src 'unsafe-inline' https://cdn.jsdelivr.net"
)


class Rim:
    """ASGI middleware, outermost but for the framework's own."""

    def __init__(self, app: ASGIApp, *, over_tls: bool) -> None:
        self._app = app
        self._headers = {
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",  # answers hold names of customers, and once a key
        }
        if over_tls:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                policy = _DOCS_POLICY if scope["path"].startswith(_DOCS) else _API_POLICY
                headers.setdefault("Content-Security-Policy", policy)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            log.exception("a request failed by a defect of ours", method=scope["method"], path=scope["path"])
            if begun:
                raise  # the answer is half said: the connection has to break
            answer = problem(500, "defect", "something went wrong on our side; the log says what")
            await answer(scope, receive, send_with_headers)
