"""The HTTP process: opens the database, starts the group commit and the background work, and answers requests."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from fastapi import FastAPI
from starlette.datastructures import State
from starlette.routing import BaseRoute

from app.context import AppContext
from app.core import metrics
from app.core.clock import Clock, now
from app.core.errors import BadSettings
from app.core.garbage import freeze_loaded, without_full_rounds
from app.core.loading import load_in_turn
from app.core.log import log
from app.core.periodic import run_in_background
from app.core.secret import open_secret
from app.core.settings import Settings
from app.core.wakeups import Wakeups
from app.http import health, problems
from app.http.api import events
from app.http.app import HttpApp
from app.http.auth import KeyAuthenticator
from app.http.openapi import make_api
from app.http.pages.session import SessionUse
from app.intake.accept import Intake
from app.intake.enrol import EnrolmentRefusals
from app.intake.language.reader import load_words
from app.intake.usage import UsageWriter
from app.store.engine import open_engines, share_wakeups
from app.store.transactions import Database

_RESTARTS = (1.0, 2.0, 5.0, 15.0, 30.0)  # the pauses before the worker is started again
_IS_STEADY_S = 60.0  # after so long, the next pause is the first one again
_LOAD_API_AFTER_S, _LOAD_WORDS_AFTER_S = 1.0, 1.0
Work = Callable[[AppContext], Awaitable[None]]


def create_app(settings: Settings, *, work: Work | None = None, clock: Clock = now) -> HttpApp:
    """Return the ASGI app of the HTTP process.

    `work` (the worker's `run`) runs in the background as long as the app does. The caller has migrated the database and made the
    first customer and keys before.
    """
    api = make_api(lifespan=lambda _: _run(app, settings, work, clock), redirect_slashes=False)
    api.state.is_stopping = lambda: False  # the server replaces it: a request that waits must not delay the stop
    problems.install(api)
    api.router.routes.extend(health.router.routes)
    app: HttpApp = HttpApp(
        api,
        hot_paths=(events.PATH,),
        install=_install_routes,
        over_tls=settings.public_url.startswith("https://"),
    )
    return app


def _install_routes(api: FastAPI) -> Iterable[BaseRoute]:
    from app.http import routes  # noqa: PLC0415  (takes long to import: the service answers before)

    return routes.install(api)


@contextlib.asynccontextmanager
async def _run(app: HttpApp, settings: Settings, work: Work | None, clock: Clock) -> AsyncIterator[None]:
    secret = open_secret(settings)
    async with contextlib.AsyncExitStack() as stack:
        database = Database(open_engines(settings))
        stack.push_async_callback(database.close)
        context = AppContext(settings, database, Wakeups(), secret, clock)
        await stack.enter_async_context(share_wakeups(context.wakeups, database.engines))
        refusals = EnrolmentRefusals(context)
        await stack.enter_async_context(refusals.being_stored())
        authenticator = KeyAuthenticator(context, refusals)
        await stack.enter_async_context(authenticator.recording_use())
        app.state.session_use = SessionUse(context)
        await stack.enter_async_context(app.state.session_use.being_stored())
        if work is not None:
            await stack.enter_async_context(run_in_background(_keep_working(work, context, app.state)))
        intake = Intake(context, refusals)
        usage = UsageWriter(context, intake.budgets, intake.commits.flows)
        await stack.enter_async_context(usage.running())
        await stack.enter_async_context(intake.refused.being_stored())
        await stack.enter_async_context(intake.readers.running())
        await stack.enter_async_context(intake.commits.running())
        if settings.heartbeat_url is not None:
            from app.http.heartbeat import pinging  # noqa: PLC0415  (it loads an HTTP client: most services need none)

            await stack.enter_async_context(pinging(context, intake.commits))
        if settings.mail_in_port is not None:
            from app.http import mail_in  # noqa: PLC0415  (as above: a server for mails)

            app.state.mail_in_port = await stack.enter_async_context(mail_in.listening(context, intake, authenticator))
        app.state.context, app.state.authenticator, app.state.intake = context, authenticator, intake
        app.hot_endpoints = {events.PATH: functools.partial(events.answer, authenticator, intake)}
        await stack.enter_async_context(run_in_background(_load_the_rest(app)))
        yield


async def _load_the_rest(app: HttpApp) -> None:
    """Load the API, then the words of all languages, which takes most of a second: the first mail would stop all other requests for it.

    Both wait for the first moments of the worker: it makes the service ready, and a process that crashes again and again has no others.
    Who asks for the API or reports in words before that loads them at once.

    Then exclude all that was loaded from garbage collection: under load, its rounds took half of all CPU time.
    """
    with without_full_rounds():
        await asyncio.sleep(_LOAD_API_AFTER_S)
        await load_in_turn(app.load)
        await asyncio.sleep(_LOAD_WORDS_AFTER_S)
        await load_in_turn(load_words)
        _freeze_once()


_freeze_once = functools.cache(freeze_loaded)  # once in a process: the tests start many apps in theirs


async def _keep_working(work: Work, context: AppContext, state: State) -> None:
    """Run the worker of the server, and start it again when it stops: intake must stay open whatever happens to it."""
    pauses = iter(_RESTARTS)
    while True:
        began, pause = asyncio.get_running_loop().time(), _RESTARTS[-1]
        try:
            await work(context)
        except Exception as error:  # noqa: BLE001  (an error boundary)
            if state.is_stopping():  # a signal to all processes of a service or a terminal reached the worker first
                return
            if asyncio.get_running_loop().time() - began >= _IS_STEADY_S:
                pauses = iter(_RESTARTS)
            pause = next(pauses, _RESTARTS[-1])
            log.exception("the worker stopped; it is started again", after_s=pause)
            metrics.WORKER_RESTARTS.inc()
            state.stopped = health.StoppedWorker(context.clock(), _public_reason(error))
        await asyncio.sleep(pause)


def _public_reason(error: BaseException) -> str:
    """Return the reason for /readyz, which needs no key: the setting's name, else only the kind of error."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    reason = error.detail.partition(":")[0] if isinstance(error, BadSettings) else type(error).__name__
    return f"{reason}, see the log"
