"""`tocsin serve`: the HTTP server, with the worker in the same process unless told otherwise."""

import asyncio
import signal
import socket
import sys

import typer
import uvicorn

from app import worker
from app.admin.first_start import FirstStart, first_start
from app.cli import first_keys
from app.cli.opened import check_schema
from app.core.errors import BadSettings
from app.core.log import set_up_log
from app.core.secret import open_secret
from app.core.settings import Settings, load_settings
from app.http.bounded_head import BoundedHead
from app.main import create_app
from app.store.engine import only_process, open_engines
from app.store.migrate import upgrade
from app.store.transactions import Database

STOP_S = 10
# A thread that wants to go on after a wait waits so long for its turn. By Python's own 5 ms SQLite's thread, which waits at each
# statement, stood still most of the time beside a busy loop.
TURN_S = 0.0005


def serve() -> None:
    """Start the service. On SQLite the worker runs inside; TOCSIN_WORKER=false leaves it to `tocsin worker`."""
    settings = load_settings()
    set_up_log(settings)
    sys.setswitchinterval(TURN_S)
    with only_process(settings), _listen(settings) as listening:
        # Port 0 takes a free one; links in mails must name the real one.
        settings = settings.model_copy(update={"port": listening.getsockname()[1]})
        _show(settings, asyncio.run(_prepare(settings)))
        app = create_app(settings, work=worker.run if settings.worker or settings.is_sqlite else None)
        config = uvicorn.Config(
            app,
            http=BoundedHead,
            loop="uvloop",
            ws="none",
            proxy_headers=False,  # who a request comes from is told by its key, never by an address
            access_log=False,  # addresses may carry what is nobody's business
            server_header=False,
            log_config=None,
            timeout_graceful_shutdown=STOP_S,
        )
        server = uvicorn.Server(config)
        _stop_at_signals(server)
        app.state.is_stopping = lambda: server.should_exit
        server.run(sockets=[listening])


def _stop_at_signals(server: uvicorn.Server) -> None:
    """Heed SIGTERM and SIGINT also before and after uvicorn does.

    Before: a signal in the moment between these handlers and uvicorn's own must stop the server, or it is lost and nobody stops.
    After: having stopped, uvicorn raises once more the signal that stopped it; by then all is done, and well.
    """

    def stop(*_: object) -> None:
        server.should_exit = True

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, stop)


async def _prepare(settings: Settings) -> FirstStart:
    if settings.is_sqlite:
        await upgrade(settings)
    store = Database(open_engines(settings))
    try:
        await check_schema(store)
        first = await first_start(store, settings, open_secret(settings))
    finally:
        await store.close()
    first_keys.keep(settings, admin_key=first.admin_key, enrol_key=first.enrol_key)
    return first


def _listen(settings: Settings) -> socket.socket:
    """Take the port before anything else: a second start must fail before it prints a word about keys."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as cause:
        where = f"{settings.host}:{settings.port}"
        raise BadSettings(f"TOCSIN_HOST, TOCSIN_PORT: cannot listen on {where}: {cause.strerror}") from cause
    listening.set_inheritable(True)
    return listening


def _show(settings: Settings, first: FirstStart) -> None:
    typer.echo(f"Tocsin serves on {settings.public_url}")
    if first.admin_key is not None:
        typer.echo(f"  Admin key      {first.admin_key}")
    if first.enrol_key is not None:
        typer.echo(f"  Enrolment key  {first.enrol_key}   (for agents)")
    if first.admin_key is not None or first.enrol_key is not None:
        typer.echo(
            f"  These are shown only now. They also lie in {first_keys.path_of(settings)}: keep them safe, then delete it."
        )
    typer.echo(f"  API            {settings.public_url}/docs")
    typer.echo(f"  Mail goes to   {first.mail_goes_to}")
