"""An app behind a real socket, for what only a connection shows: bodies cut short, callers that go away, large uploads, slow clients."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import Server


@asynccontextmanager
async def listening(app: ASGIApp, protocol: type[asyncio.Protocol] | None = None) -> AsyncIterator[int]:
    """Serve an app whose lifespan runs already, and yield the port. `protocol`: uvicorn's own if None, which lets requests end first."""
    config = Config(
        app,
        host="127.0.0.1",
        port=0,
        http=protocol or "auto",
        lifespan="off",
        log_level="error",
        access_log=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=None if protocol is None else 0,
    )
    server = Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task
