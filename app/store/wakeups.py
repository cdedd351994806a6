"""Shares wakeups between processes on PostgreSQL, by LISTEN and NOTIFY. If one is lost, the next poll makes up for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from app.core.log import log
from app.core.periodic import run_in_background
from app.core.wakeups import Wakeups
from app.store.database_errors import POSTGRES_ERRORS
from app.store.engine import Engines

CHANNEL = "tocsin"
RETRY_S = 5
ALIVE_S = 30
PAUSE_S = 0.01  # the first wakeup is sent at once; those within this time are combined


@contextlib.asynccontextmanager
async def share_wakeups(wakeups: Wakeups, engines: Engines) -> AsyncIterator[None]:
    """Receive the wakeups of other processes, and send ours, until the block ends. Does nothing on SQLite."""
    if engines.is_sqlite:
        yield
        return
    waiting: asyncio.Queue[str] = asyncio.Queue(maxsize=100)

    def far(stage: str) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            waiting.put_nowait(stage)

    wakeups.far = far
    try:
        async with run_in_background(_keep_connected(wakeups, engines, waiting)):
            yield
    finally:
        wakeups.far = None


async def _keep_connected(wakeups: Wakeups, engines: Engines, waiting: asyncio.Queue[str]) -> None:
    dsn = engines.writer.url.set(drivername="postgresql").render_as_string(hide_password=False)
    dsn = dsn.replace("?ssl=", "?sslmode=").replace(
        "&ssl=", "&sslmode="
    )  # in a URL, asyncpg knows only libpq's name for it
    while True:
        try:
            await _exchange(wakeups, dsn, waiting)
        except (OSError, TimeoutError, *POSTGRES_ERRORS) as cause:
            log.warning("connection for wakeups lost, polling instead", cause=str(cause))
        await asyncio.sleep(RETRY_S)


async def _exchange(wakeups: Wakeups, dsn: str, waiting: asyncio.Queue[str]) -> None:
    connection = await asyncpg.connect(dsn)

    def on_notify(_connection: Any, _pid: int, _channel: str, stage: Any) -> None:  # noqa: ANN401
        wakeups.wake_here(str(stage))

    try:
        await connection.add_listener(CHANNEL, on_notify)
        while not connection.is_closed():
            stages: set[str] = set()
            try:
                async with asyncio.timeout(ALIVE_S):
                    stages.add(await waiting.get())
            except TimeoutError:  # only a statement shows a listener that its connection is dead
                await connection.execute("SELECT 1", timeout=ALIVE_S)
            while not waiting.empty():
                stages.add(waiting.get_nowait())
            for stage in stages:
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, stage, timeout=ALIVE_S)
            await asyncio.sleep(PAUSE_S)
    finally:
        await connection.close(timeout=1)
