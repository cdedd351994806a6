"""The straight way in for the busiest request, past the framework's layers: they cost more than reading, checking and storing an event.

What the framework would do for it stays as it is: the rim, the errors, the published schema. It must not decide anything.
"""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import FastAPI, Response
from starlette.datastructures import State
from starlette.types import ASGIApp, Receive, Scope, Send

from app.base.errors import TocsinError
from app.edge.problems import problem_of
from app.edge.rim import Rim

Headers = Mapping[bytes, bytes]
# Answers a request by what the house shares, its headers (small names) and its body. Raises TocsinError.
Answer = Callable[[State, Headers, Receive], Awaitable[Response]]


def open_lane(app: FastAPI, path: str, answer: Answer, *, over_tls: bool) -> None:
    """Let POSTs to `path` go straight to `answer`. Everything else goes through the framework, as if this were not here."""

    async def straight(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answered = await answer(app.state, dict(scope["headers"]), receive)
        except TocsinError as cause:
            answered = problem_of(cause)
        await answered(scope, receive, send)

    rim = Rim(straight, over_tls=over_tls, self_bounded=[path])
    framework = app.build_middleware_stack

    def build() -> ASGIApp:
        through = framework()

        async def either(scope: Scope, receive: Receive, send: Send) -> None:
            is_ours = scope["type"] == "http" and scope["path"] == path and scope["method"] == "POST"
            await (rim if is_ours else through)(scope, receive, send)

        return either

    app.build_middleware_stack = build  # type: ignore[method-assign]
