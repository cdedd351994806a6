"""`tocsin send-test`: sends one test message at once and prints how the other side answered."""

import asyncio
from typing import Annotated

import typer

from app.cli.open_context import open_context
from app.context import AppContext
from app.core.clock import now
from app.core.errors import BadInput, Conflict, TocsinError
from app.core.log import set_up_log
from app.core.secret import open_secret
from app.core.settings import Settings, load_settings
from app.core.unseen import plain_name
from app.core.wakeups import Wakeups
from app.deliver.transports.remedies import remedy_of
from app.domain.recipient import Address, shown_address
from app.domain.transport_options import OwnTransport
from app.store.engine import only_process, open_engines
from app.store.repository import Window
from app.store.routing import RECIPIENTS, TransportTest, page_recipients, save_transport_test
from app.store.transactions import Database


def send_test(
    to: Annotated[
        str | None, typer.Option("--to", help="Mail address, or the address of a program that needs no options.")
    ] = None,
    recipient: Annotated[
        str | None,
        typer.Option("--recipient", help="Id or name of a stored recipient: each of its transports is tested."),
    ] = None,
    transport: Annotated[
        OwnTransport | None,
        typer.Option(help="Transport to send it with. Default: smtp; with --recipient all of its transports."),
    ] = None,
) -> None:
    """Send one test message at once; exit code 0 only if it was sent."""
    settings = load_settings()
    set_up_log(settings)
    if (to is None) == (recipient is None):
        raise BadInput("use either --to ADDRESS or --recipient ID_OR_NAME")
    if recipient is not None:
        is_sent = asyncio.run(_test_recipient(settings, recipient, transport))
    else:
        is_sent = asyncio.run(_test_address(settings, transport or "smtp", to or ""))
    if not is_sent:
        raise typer.Exit(1)


async def _test_address(settings: Settings, transport: str, to: str) -> bool:
    from app.http.api.recipients import checked_address  # noqa: PLC0415  (see serve.py)

    trial, seconds = await try_transport(settings, transport, checked_address(transport, to))
    if (note := await record_trial(settings, trial)) is not None:
        typer.echo(note)
    return _show(trial, seconds)


async def _test_recipient(settings: Settings, named: str, only: OwnTransport | None) -> bool:
    """Test each transport of a recipient, the first choice first, or only those of one kind; return whether all were sent."""
    from app.http.trial_message import send_trial  # noqa: PLC0415  (see serve.py)

    trials, all_sent = [], True
    async with open_context(settings) as context:
        async with context.database.read() as tx:
            found = await RECIPIENTS.find(tx, named)
            if found is None:
                found = next(iter((await page_recipients(tx, Window(1), name=plain_name(named))).items), None)
        if found is None:
            raise BadInput(f"--recipient: there is no recipient {named!r} (GET /v1/recipients lists them)")
        addresses = [one for one in found.transports if only is None or one.transport == only]
        if not addresses:
            raise BadInput(f"--transport: the recipient {found.name} has no transport {only}")
        for address in addresses:
            typer.echo(f"{address.transport} {shown_address(address.address)}")
            if address.transport == "mapi":
                typer.echo("not tested: its relay sends it (docs/mapi.md); its host has the command `send-test`")
                all_sent = False
                continue
            try:
                trial, seconds = await send_trial(context, address, found.id)
            except Conflict as cause:
                typer.echo(f"not tested: {cause.detail}", err=True)
                all_sent = False
                continue
            trials.append(trial)
            all_sent = _show(trial, seconds) and all_sent
    notes = [note for trial in trials if (note := await record_trial(settings, trial)) is not None]
    for note in dict.fromkeys(notes):
        typer.echo(note)
    return all_sent


def _show(trial: TransportTest, seconds: float) -> bool:
    """Print how a test ended, and what to change if it failed; return whether it was sent."""
    typer.echo(f"{trial.outcome}  {trial.code}  {trial.text}  ({seconds:.2f} s)")
    if trial.outcome == "sent":
        return True
    if (mend := remedy_of(trial.code, trial.transport)) is not None:
        typer.echo(mend, err=True)
    return False


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
