"""`tocsin send-test`: sends one test message at once and prints how the other side answered."""

import asyncio
from enum import StrEnum
from typing import Annotated

import typer

from app.cli.open_context import open_context
from app.context import AppContext
from app.core.clock import now
from app.core.errors import Conflict, TocsinError
from app.core.log import set_up_log
from app.core.secret import open_secret
from app.core.settings import Settings, load_settings
from app.core.wakeups import Wakeups
from app.deliver.transports.remedies import remedy_of
from app.domain.recipient import Address
from app.store.engine import only_process, open_engines
from app.store.routing import TransportTest, save_transport_test
from app.store.transactions import Database


class Kind(StrEnum):
    """What can be tested from here; `mapi` is tested by its relay."""

    SMTP = "smtp"
    GRAPH = "graph"
    WEBHOOK = "webhook"
    FILE = "file"


def send_test(
    to: Annotated[str, typer.Option("--to", help="Mail address, or URL for webhook.")],
    transport: Annotated[Kind, typer.Option(help="Transport to send it with.")] = Kind.SMTP,
) -> None:
    """Send one test message at once; exit code 0 only if it was sent."""
    from app.http.api.recipients import checked_address  # noqa: PLC0415  (see serve.py)

    settings = load_settings()
    set_up_log(settings)
    address = checked_address(transport.value, to)
    trial, seconds = asyncio.run(try_transport(settings, transport.value, address))
    if (note := asyncio.run(record_trial(settings, trial))) is not None:
        typer.echo(note)
    typer.echo(f"{trial.outcome}  {trial.code}  {trial.text}  ({seconds:.2f} s)")
    if trial.outcome != "sent":
        if (mend := remedy_of(trial.code)) is not None:
            typer.echo(mend, err=True)
        raise typer.Exit(1)


async def try_transport(settings: Settings, kind: str, address: str) -> tuple[TransportTest, float]:
    """Send one test message; return how it ended and after how many seconds. There need be no database yet."""
    from app.http.trial_message import send_trial  # noqa: PLC0415  (see serve.py)

    database = Database(open_engines(settings))
    try:
        context = AppContext(settings, database, Wakeups(), open_secret(settings), now)
        return await send_trial(context, Address(kind, address), "")
    finally:
        await database.close()


async def record_trial(settings: Settings, trial: TransportTest) -> str | None:
    """Store the result for `doctor`, if there is a database that we may write to. Return why it was not stored, or None."""
    try:
        with only_process(settings):
            async with open_context(settings) as context, context.database.write() as tx:
                await save_transport_test(tx, trial)
    except Conflict as cause:
        if cause.code != "already_running":
            return None
        return f"The result is not stored for `tocsin doctor`, because the service uses the database. To store one, use POST /v1/transports/{trial.transport}:test."
    except TocsinError as cause:
        return f"The result is not stored for `tocsin doctor`: {cause.detail}"
    return None
