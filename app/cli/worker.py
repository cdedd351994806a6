"""`tocsin worker`: decides, composes and delivers, without a server. Any number of workers can share one PostgreSQL."""

import asyncio
import contextlib
import signal
import socket

import uvloop

from app import worker as pipeline
from app.cli.open_context import open_context
from app.core.errors import BadSettings
from app.core.log import log, set_up_log
from app.core.memory import use_one_arena
from app.core.settings import Settings, load_settings


def worker() -> None:
    """Run a worker alone, on PostgreSQL. It stops cleanly on SIGTERM, within ten seconds."""
    settings = load_settings()
    set_up_log(settings)
    if settings.is_sqlite:
        raise BadSettings(
            "TOCSIN_DATABASE_URL: on the embedded SQLite the worker runs inside `tocsin serve`; set a PostgreSQL URL to run it alone"
        )
    use_one_arena()
    uvloop.run(work(settings))


async def work(settings: Settings, *, until_closed: socket.socket | None = None) -> None:
    """Run the worker until SIGTERM or SIGINT, or until the other side of `until_closed` is closed: nobody writes to it."""
    async with open_context(settings) as context:
        loop, working = asyncio.get_running_loop(), asyncio.create_task(pipeline.run(context))
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, working.cancel)
        if until_closed is not None:

            def stop() -> None:
                loop.remove_reader(until_closed)
                log.info("the server stops or has ended, so its worker stops")
                working.cancel()

            loop.add_reader(until_closed, stop)
        log.info("the worker has started")
        with contextlib.suppress(asyncio.CancelledError):
            await working
    log.info("the worker has stopped")
