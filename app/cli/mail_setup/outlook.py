"""Only Outlook may send: creates a relay in the running service, shows what to paste on its Windows host, and waits for a test mail."""

from typing import Any

import typer

from app.cli import first_keys
from app.cli.api_client import ApiClient, connect, wait_for
from app.cli.mail_setup.dialog import Dialog, stop
from app.core.errors import TocsinError
from app.core.settings import Settings
from app.domain.message import SETTLED_STATES

_PASTED_S, _SENT_S = 3600, 300  # the one-time code is good for an hour; a slow Outlook takes minutes


def set_up_outlook(dialog: Dialog, settings: Settings, address: str, *, is_exchange_online: bool) -> None:
    """Create the relay, or make a new code for one of that name, and follow it until its test mail was sent."""
    if is_exchange_online:
        typer.echo(
            "! The mailboxes of this domain are in Exchange Online. There, Outlook can send for a service only while somebody is logged on."
        )
        if not dialog.confirm(
            "Set up Outlook anyway? With Exchange Online you can use Microsoft Graph instead", default=False
        ):
            stop("Nothing was changed. Call it again and choose exchange-online.")
    with connect(settings.local_url, first_keys.admin_key(settings)) as client:
        name = dialog.ask("relay", "Name of the Windows host that has Outlook", "mail01")
        known = client.items("/v1/relays", name=name)
        if known:
            relay = known[0]["id"]
            setup = client.call("POST", f"/v1/relays/{relay}:setup-code")
        else:
            created = client.call("POST", "/v1/relays", json={"name": name})
            relay, setup = created["id"], created["setup"]
        programs = {program["file"]: program for program in setup["programs"]}
        if not programs:
            raise TocsinError("this service has no program for the relay: docs/mapi.md says how to build it")
        choices = [(file, program["suits"]) for file, program in programs.items()]
        file = choices[0][0]
        if len(choices) > 1:
            file = dialog.choose("program", "Which Outlook is it?", choices, file)
        typer.echo("Paste these two lines into PowerShell on that host, as administrator:\n")
        for line in programs[file]["lines"]:
            typer.echo(f"{line}\n")
        if not settings.public_url.startswith("https://"):
            typer.echo(
                f"! The lines contain the address {settings.public_url}, but the relay needs an https address that its host reaches: set TOCSIN_BASE_URL."
            )
        if not dialog.may_ask:
            return
        typer.echo("Waiting for the relay. Ctrl-C ends the waiting; the relay can be set up later, within the hour.")
        wait_for("the relay", lambda: client.call("GET", f"/v1/relays/{relay}")["seen_at"], _PASTED_S)
        typer.echo("  ok relay    has reported")
        _send_test(client, relay, address)
        if dialog.confirm(f"Did the mail arrive at {address}?", default=True):
            _use_outlook(dialog, client, address)


def _send_test(client: ApiClient, relay: str, address: str) -> None:
    message = client.call("POST", f"/v1/relays/{relay}:test", json={"address": address})["message_id"]

    def settled() -> dict[str, Any] | None:
        found: dict[str, Any] = client.call("GET", f"/v1/messages/{message}")
        return found if found["state"] in SETTLED_STATES else None

    found = wait_for("the test mail", settled, _SENT_S)
    last = found["tries"][-1]["text"] if found["tries"] else found["why"]
    if found["state"] != "sent":
        stop(
            f"  !! mail     {last}\nThe relay's own doctor says more: `tocsin-relay doctor` on that host, or GET /v1/relays/{relay}."
        )
    typer.echo(f"  ok mail     {last}")


def _use_outlook(dialog: Dialog, client: ApiClient, address: str) -> None:
    """Put Outlook first among the transports of a recipient with this address; the others follow."""
    for recipient in client.items("/v1/recipients"):
        ways = recipient["transports"]
        if any(way["transport"] == "mapi" for way in ways) or not any(way["address"] == address for way in ways):
            continue
        if dialog.confirm(f"Send mail of the recipient {recipient['name']} through Outlook first?", default=True):
            kept = [way for way in ways if way["transport"] != "file"]
            body = {"transports": [{"transport": "mapi", "address": address}, *kept]}
            client.call("PATCH", f"/v1/recipients/{recipient['id']}", json=body)
            typer.echo(f"  {recipient['name']}: mapi{''.join(', then ' + way['transport'] for way in kept)}")
