"""`tocsin send-test`: sends one test message at once and says how the other side answered."""

import asyncio
from enum import StrEnum
from typing import Annotated

import typer

from app.cli.opened import open_context
from app.context import AppContext
from app.core.clock import now
from app.core.errors import Conflict, TocsinError
from app.core.log import set_up_log
from app.core.secret import open_secret
from app.core.settings import Settings, load_settings
from app.core.wakeups import Wakeups
from app.http.api.recipients import checked_address
from app.http.trial_message import send_trial
from app.store.engine import only_process, open_engines
from app.store.transactions import Database
from app.store.transports import TransportTest, record_test


class Kind(StrEnum):
    """What can be tested from here; `mapi` is tested by its relay."""

    SMTP = "smtp"
    WEBHOOK = "webhook"
    FILE = "file"


def send_test(
    to: Annotated[str, typer.Option("--to", help="Mail address, or URL for webhook.")],
    transport: Annotated[Kind, typer.Option(help="By which transport.")] = Kind.SMTP,
) -> None:
    """Send one test message at once; exit code 0 only if it was sent."""
    settings = load_settings()
    set_up_log(settings)
    address = checked_address(transport.value, to)
    trial, seconds = asyncio.run(_try(settings, transport.value, address))
    typer.echo(f"{trial.outcome}  {trial.code}  {trial.text}  ({seconds:.2f} s)")
    if trial.outcome != "sent":
        raise typer.Exit(1)


async def _try(settings: Settings, kind: str, address: str) -> tuple[TransportTest, float]:
    # Opened by hand, not by open_house: mail can be tested before there is any database.
    store = Database(open_engines(settings))
    try:
        context = AppContext(settings, store, Wakeups(), open_secret(settings), now)
        trial, seconds = await send_trial(context, kind, address, "")
    finally:
        await store.close()
    await _record(settings, trial)
    return trial, seconds


async def _record(settings: Settings, trial: TransportTest) -> None:
    """Keep the result for `doctor`, where there is a database that we may write to; the test itself is over and told."""
    try:
        with only_process(settings):
            async with open_context(settings) as context, context.database.write() as tx:
                await record_test(tx, trial)
    except Conflict as cause:
        if cause.code == "already_running":
            typer.echo(
                f"Not noted for `tocsin doctor`: the service has the database. It can be by POST /v1/transports/{trial.transport}:test."
            )
    except TocsinError as cause:
        typer.echo(f"Not noted for `tocsin doctor`: {cause.detail}")
