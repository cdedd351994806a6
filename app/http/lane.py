"""The straight way in for the busiest request, past the framework's layers: they cost more than reading, checking and storing an event.

What the framework would do for it stays as it is: the rim, the errors, the published schema. It must not decide anything.
"""

from collections.abc import Awaitable, Callable, Iterable

from fastapi import FastAPI, Response
from starlette.datastructures import State
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import TocsinError
from app.http.problems import problem_of
from app.http.rim import defect, security_headers

Headers = Iterable[tuple[bytes, bytes]]
# Answers a request by what the house shares, its headers (small names) and its body. Raises TocsinError.
Answer = Callable[[State, Headers, Receive], Awaitable[Response]]


def open_lane(app: FastAPI, path: str, answer: Answer, *, over_tls: bool) -> ASGIApp:
    """Give the app as a server is to call it: POSTs to `path` go straight to `answer`, everything else through the framework."""
    ours = security_headers(over_tls=over_tls)

    async def straight(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answered = await answer(app.state, scope["headers"], receive)
        except TocsinError as cause:
            answered = problem_of(cause)
        except Exception:  # noqa: BLE001  (a rim)
            answered = defect(scope)
        headers = [*answered.raw_headers, *ours]
        await send({"type": "http.response.start", "status": answered.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": answered.body})

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        is_ours = scope["type"] == "http" and scope["path"] == path and scope["method"] == "POST"
        await (straight if is_ours else app)(scope, receive, send)

    return either
