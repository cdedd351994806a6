"""`tocsin serve`: the HTTP server and the worker: in the same process on SQLite, as a child on PostgreSQL, where a setting may leave it out."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Iterator

import typer

from app.admin.first_start import FirstStart, first_start
from app.cli import first_keys
from app.cli.open_context import check_schema
from app.cli.open_files import fit_connections
from app.cli.worker_process import run_here, starting_workers
from app.core.errors import BadSettings
from app.core.hidden_modules import emptied
from app.core.log import set_up_log
from app.core.memory import use_one_arena
from app.core.networks import read_networks
from app.core.secret import open_secret
from app.core.settings import Settings, load_settings
from app.domain.one_time_link import PATH as LINK
from app.http.bounded_connection import bounded_by
from app.http.places import Limits
from app.main import Work, create_app
from app.store.engine import only_process, open_engines
from app.store.migrate import upgrade
from app.store.pooler import refuse_shared_sessions
from app.store.transactions import Database

with emptied("uvicorn.main"):  # as in bounded_connection
    from uvicorn.config import Config
    from uvicorn.server import Server

STOP_S = 10
UNFINISHED_BATCHES = 16  # of the largest size may be in memory while they are being received
# How long a thread waits for the GIL before it asks the running thread to release it. With Python's default of 5 ms, SQLite's thread,
# which needs the GIL again after each statement, was idle most of the time next to a busy event loop.
SWITCH_INTERVAL_S = 0.0005


def serve() -> None:
    """Start the service, with a worker; on PostgreSQL the worker is a separate process, and TOCSIN_WORKER=false leaves it out."""
    settings = load_settings()
    set_up_log(settings)
    settings = fit_connections(settings)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    use_one_arena()
    with only_process(settings), _listen(settings) as listener:
        # Port 0 takes a free one; links in mails must name the real one.
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        first = asyncio.run(_prepare(settings))
        path = first_keys.path_of(settings)
        kept = f"They are also in {path}: store them in a safe place, then delete the file."
        try:
            first_keys.keep(settings, admin_key=first.admin_key, enrol_key=first.enrol_key)
        except OSError as cause:  # they are shown below, so a file that cannot be written stops nothing
            kept = f"They could not be written to {path} ({cause.strerror}): store them in a safe place now."
        # Its output may be a file on a full disk, and reports of failures must be taken all the same.
        with contextlib.suppress(OSError):
            _print_start(settings, first, kept)
        with _worker(settings, listener) as work:
            _serve(settings, listener, work)


def _serve(settings: Settings, listener: socket.socket, work: Work | None) -> None:
    app = create_app(settings, work=work)
    proxies = read_networks(settings.trusted_proxies)
    config = Config(
        app,
        http=bounded_by(
            Limits("http", settings.connections, settings.connections_per_address, proxies=proxies),
            UNFINISHED_BATCHES * settings.batch_limit,
        ),
        loop="uvloop",
        ws="none",
        # Only of proxies that somebody named: whoever can reach us on this host must not be able to claim any address.
        proxy_headers="trusted_proxies" in settings.model_fields_set,
        forwarded_allow_ips=settings.trusted_proxies.replace(",", " ").split(),
        access_log=False,  # URLs may contain keys
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=STOP_S,
    )
    server = Server(config)

    def stop(*_: object) -> None:
        server.should_exit = True

    # Also before and after uvicorn handles them. Before: a signal that arrives before uvicorn has installed its own handlers must still
    # stop the server. After: when uvicorn has stopped, it raises the signal that stopped it again; everything is done by then.
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, stop)
    app.state.is_stopping = lambda: server.should_exit
    server.run(sockets=[listener])


@contextlib.contextmanager
def _worker(settings: Settings, listener: socket.socket) -> Iterator[Work | None]:
    """Yield how this server runs its worker. SQLite has one writer, for which two processes would only wait."""
    if settings.is_sqlite:
        yield run_here
    elif not settings.worker:
        yield None
    else:
        with starting_workers(settings, listener) as starter:
            yield starter.run


async def _prepare(settings: Settings) -> FirstStart:
    if settings.is_sqlite:
        await upgrade(settings)
    database = Database(open_engines(settings))
    try:
        await refuse_shared_sessions(database.engines)
        await check_schema(database)
        first = await first_start(database, settings, open_secret(settings))
    finally:
        await database.close()
    return first


def _listen(settings: Settings) -> socket.socket:
    """Open the port before anything else: a second start must fail before it prints anything about keys."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as cause:
        where = f"{settings.host}:{settings.port}"
        raise BadSettings(f"TOCSIN_HOST, TOCSIN_PORT: cannot listen on {where}: {cause.strerror}") from cause
    listener.set_inheritable(True)
    return listener


def _print_start(settings: Settings, first: FirstStart, kept: str) -> None:
    typer.echo(f"Tocsin serves on {settings.public_url}")
    if first.link_token is not None:
        typer.echo(f"  Sign in        {settings.local_url}{LINK}{first.link_token}")
        typer.echo("                 (open it in a browser on this host within an hour; it creates the first owner)")
    elif first.is_nobody_there:
        typer.echo("  Sign in        no person yet: `tocsin people add E-MAIL --role owner` prints a link")
    if first.admin_key is not None:
        typer.echo(f"  Admin key      {first.admin_key}")
    if first.enrol_key is not None:
        typer.echo(f"  Enrolment key  {first.enrol_key}   (for agents)")
    if first.admin_key is not None or first.enrol_key is not None:
        typer.echo(f"  These are shown only now. {kept}")
    typer.echo(f"  API            {settings.public_url}/docs")
    typer.echo(f"  Mail goes to   {first.mail_goes_to}")
