"""Builds the HTTP process: opens the store, starts the group commit and the background work, and answers requests."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.datastructures import State
from starlette.types import ASGIApp

from app.base.clock import Clock, now
from app.base.doorbell import Doorbell
from app.base.errors import BadSettings
from app.base.log import log
from app.base.secret import open_secret
from app.base.settings import Settings
from app.base.ticking import beside
from app.edge import downloads, health, mail_in, metrics, problems, relay
from app.edge.api import admin, events
from app.edge.auth import Doorkeeper
from app.edge.compat import tools
from app.edge.lane import open_lane
from app.edge.rim import Rim
from app.house import House
from app.intake.accept import Intake
from app.store.bell import carry
from app.store.engine import open_engines
from app.store.unit import Store

_AGAIN_S = 5
Work = Callable[[House], Awaitable[None]]


def build_app(settings: Settings, *, work: Work | None = None, clock: Clock = now) -> FastAPI:
    """Make the app. `work` (the worker's `run`) is kept running beside it. Schema and first start are the caller's to do before."""
    app = FastAPIOffline(  # its documentation page loads nothing from elsewhere: a backup host may have no way out
        title="Tocsin",
        description="Takes events from backup agents and tells the right people, once and in time.",
        version="0.1.0",
        lifespan=lambda app: _living(app, settings, work, clock),
        redirect_slashes=False,
        docs_url="/docs",
        redoc_url=None,
        static_url="/docs/static",
    )
    app.state.is_stopping = lambda: False  # whoever serves the app says so: what waits long must not hold up the end
    problems.install(app)
    app.add_middleware(Rim, over_tls=_is_over_tls(settings))
    app.include_router(events.router)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(relay.router)
    app.include_router(downloads.router)
    admin.install(app)
    tools.install(app)
    return app


def entrance(app: FastAPI, settings: Settings) -> ASGIApp:
    """Give what a server calls for each request: the lane for agents' events, and behind it the app."""
    return open_lane(app, events.PATH, events.answer, over_tls=_is_over_tls(settings))


def _is_over_tls(settings: Settings) -> bool:
    return settings.public_url.startswith("https://")


@contextlib.asynccontextmanager
async def _living(app: FastAPI, settings: Settings, work: Work | None, clock: Clock) -> AsyncIterator[None]:
    secret = open_secret(settings)
    async with contextlib.AsyncExitStack() as stack:
        store = Store(open_engines(settings))
        stack.push_async_callback(store.close)
        house = House(settings, store, Doorbell(), secret, clock)
        await stack.enter_async_context(carry(house.bell, store.engines))
        doorkeeper = Doorkeeper(house)
        await stack.enter_async_context(doorkeeper.noting_use())
        if work is not None:
            await stack.enter_async_context(beside(_keep_working(work, house, app.state)))
        intake = Intake(house)
        await stack.enter_async_context(intake.commits.running())
        app.state.mail_in_port = await stack.enter_async_context(mail_in.taking_mail(house, intake, doorkeeper))
        app.state.house, app.state.doorkeeper, app.state.intake = house, doorkeeper, intake
        _spare_the_collector()
        yield


def _spare_the_collector() -> None:
    """Keep what was loaded at the start out of the garbage collector's rounds: under load they took half of all CPU time."""
    if gc.get_freeze_count() == 0:
        gc.collect()
        gc.freeze()


async def _keep_working(work: Work, house: House, state: State) -> None:
    """The rim of the worker inside the server: intake stays open whatever happens to it."""
    while True:
        try:
            await work(house)
        except Exception as cause:  # noqa: BLE001  (a rim)
            log.exception("the worker stopped; it is started again", after_s=_AGAIN_S)
            state.stopped = health.Stopped(house.clock(), _told(cause))
        await asyncio.sleep(_AGAIN_S)


def _told(cause: BaseException) -> str:
    """Give the reason for /readyz, which anybody may read: the setting's name, else only the kind of error."""
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    what = cause.detail.partition(":")[0] if isinstance(cause, BadSettings) else type(cause).__name__
    return f"{what}, see the log"
