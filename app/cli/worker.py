"""`tocsin worker`: decides, composes and delivers, without a server. Any number of workers can share one PostgreSQL."""

import asyncio
import contextlib
import signal

from app import worker as pipeline
from app.cli.open_context import open_context
from app.core.errors import BadSettings
from app.core.log import log, set_up_log
from app.core.settings import Settings, load_settings


def worker() -> None:
    """Run a worker alone, on PostgreSQL. It stops cleanly on SIGTERM, within ten seconds."""
    settings = load_settings()
    set_up_log(settings)
    if settings.is_sqlite:
        raise BadSettings(
            "TOCSIN_DATABASE_URL: on the embedded SQLite the worker runs inside `tocsin serve`; set a PostgreSQL URL to run it alone"
        )
    asyncio.run(_work(settings))


async def _work(settings: Settings) -> None:
    async with open_context(settings) as context:
        working = asyncio.create_task(pipeline.run(context))
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, working.cancel)
        log.info("the worker has started")
        with contextlib.suppress(asyncio.CancelledError):
            await working
    log.info("the worker has stopped")
