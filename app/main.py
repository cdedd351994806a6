"""Builds the HTTP process: opens the store, starts the group commit and the background work, and answers requests."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.datastructures import State
from starlette.types import ASGIApp

from app.context import AppContext
from app.core.clock import Clock, now
from app.core.errors import BadSettings
from app.core.log import log
from app.core.periodic import beside
from app.core.secret import open_secret
from app.core.settings import Settings
from app.core.wakeups import Wakeups
from app.http import downloads, health, mail_in, metrics, problems, relay
from app.http.api import admin, events
from app.http.auth import KeyAuthenticator
from app.http.lane import open_lane
from app.http.rim import Rim
from app.http.tools import tools
from app.intake.accept import Intake
from app.store.engine import open_engines
from app.store.transactions import Database
from app.store.wakeups import carry

_AGAIN_S = 5
Work = Callable[[AppContext], Awaitable[None]]


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
        store = Database(open_engines(settings))
        stack.push_async_callback(store.close)
        context = AppContext(settings, store, Wakeups(), secret, clock)
        await stack.enter_async_context(carry(context.wakeups, store.engines))
        authenticator = KeyAuthenticator(context)
        await stack.enter_async_context(authenticator.noting_use())
        if work is not None:
            await stack.enter_async_context(beside(_keep_working(work, context, app.state)))
        intake = Intake(context)
        await stack.enter_async_context(intake.commits.running())
        app.state.mail_in_port = await stack.enter_async_context(mail_in.taking_mail(context, intake, authenticator))
        app.state.context, app.state.authenticator, app.state.intake = context, authenticator, intake
        _spare_the_collector()
        yield


def _spare_the_collector() -> None:
    """Keep what was loaded at the start out of the garbage collector's rounds: under load they took half of all CPU time."""
    if gc.get_freeze_count() == 0:
        gc.collect()
        gc.freeze()


async def _keep_working(work: Work, context: AppContext, state: State) -> None:
    """The rim of the worker inside the server: intake stays open whatever happens to it."""
    while True:
        try:
            await work(context)
        except Exception as cause:  # noqa: BLE001  (a rim)
            log.exception("the worker stopped; it is started again", after_s=_AGAIN_S)
            state.stopped = health.Stopped(context.clock(), _told(cause))
        await asyncio.sleep(_AGAIN_S)


def _told(cause: BaseException) -> str:
    """Give the reason for /readyz, which anybody may read: the setting's name, else only the kind of error."""
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    what = cause.detail.partition(":")[0] if isinstance(cause, BadSettings) else type(cause).__name__
    return f"{what}, see the log"
