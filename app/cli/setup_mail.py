"""`tocsin setup mail`: asks which mail system sends, tests each answer at once, sends a test mail, and then writes the settings."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli.mail_setup.conversation import MailSetup
from app.cli.mail_setup.dialog import Dialog, stop
from app.cli.mail_setup.systems import MailSystem
from app.core.errors import BadInput, BadSettings
from app.core.log import set_up_log
from app.core.settings import Settings, load_settings

cli = typer.Typer(
    help="Set up how mail is sent; each answer is tested at once.", no_args_is_help=True, add_completion=False
)
cli.callback()(lambda: None)  # with one command and no callback, typer would leave the word `mail` out

_DEFAULTS = {name: Settings.model_fields[name].default for name in ("smtp_url", "smtp_ca_file", "smtp_oauth_token", "smtp_oauth_token_file", "mail_from")}  # fmt: skip


@cli.command("mail")
def mail(
    system: Annotated[MailSystem | None, typer.Option(help="What sends the mail.")] = None,
    to: Annotated[str | None, typer.Option(help="Who gets alerts, and the test mail.")] = None,
    sender: Annotated[str | None, typer.Option("--from", help="Sender of every mail.")] = None,
    server: Annotated[str | None, typer.Option(help="Mail server, as host or host:port.")] = None,
    encryption: Annotated[str | None, typer.Option(help="starttls, tls or none.")] = None,
    user: Annotated[str | None, typer.Option(help="User of the mail server.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="File with the password; - is standard input.", allow_dash=True)] = None,
    ca_file: Annotated[str | None, typer.Option(help="PEM file of an own certificate authority.")] = None,
    ehlo_name: Annotated[str | None, typer.Option(help="Name for EHLO, if the mail server refuses the usual one: the full name of this host in DNS.")] = None,
    via: Annotated[str | None, typer.Option(help="Exchange Online: graph or smtp. Google: app-password, relay, service-account or refresh-token.")] = None,
    relay: Annotated[str | None, typer.Option(help="Only Outlook: name of the Windows host.")] = None,
    mailbox: Annotated[str | None, typer.Option(help="Mailbox that sends, where there is no user.")] = None,
    cloud: Annotated[str | None, typer.Option(help="Microsoft's cloud: global, us_gov, us_dod or china.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Microsoft: id or domain of the tenant.")] = None,
    client_id: Annotated[str | None, typer.Option(help="Id of the app registration, or of Google's OAuth client.")] = None,
    certificate: Annotated[str | None, typer.Option(help="Microsoft: PEM file with the private key and its certificate.")] = None,
    client_secret_file: Annotated[Path | None, typer.Option(help="File with the client secret.", allow_dash=True)] = None,
    secret_expires: Annotated[str | None, typer.Option(help="Microsoft: last day of the client secret, to be reminded of it.")] = None,
    service_account: Annotated[str | None, typer.Option(help="Google: JSON key file of the service account.")] = None,
    refresh_token_file: Annotated[Path | None, typer.Option(help="Google: file with the refresh token.", allow_dash=True)] = None,
    dns_server: Annotated[str | None, typer.Option(help="DNS server to ask for mail servers, in place of the system's.")] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing, for scripts. An answer that is needed and that no option has is an error.")] = False,
) -> None:  # fmt: skip
    """Set up how mail is sent: asks, tests each answer, sends a test mail, writes the settings."""
    given = {
        "system": None if system is None else system.value,
        "to": to,
        "from": sender,
        "server": server,
        "encryption": encryption,
        "user": user,
        "password": _read_secret(password_file),
        "ca-file": ca_file,
        "ehlo-name": ehlo_name,
        "via": via,
        "relay": relay,
        "mailbox": mailbox,
        "cloud": cloud,
        "tenant": tenant,
        "client-id": client_id,
        "certificate": certificate,
        "client-secret": _read_secret(client_secret_file),
        "secret-expires": secret_expires,
        "service-account": service_account,
        "refresh-token": _read_secret(refresh_token_file),
    }
    settings = _current_settings()
    set_up_log(settings)
    try:
        MailSetup(Dialog(given, may_ask=not yes), settings, dns_server).run()
    except (KeyboardInterrupt, typer.Abort):
        typer.echo()
        stop("Nothing was written.")


def _current_settings() -> Settings:
    """Return the settings; if those of mail are wrong, which may be why this command is called, without them."""
    try:
        return load_settings()
    except BadSettings as wrong:
        settings = load_settings(**_DEFAULTS)
        typer.echo(f"! {wrong.detail}")
        return settings


def _read_secret(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return (sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")).strip("\r\n")
    except (OSError, UnicodeDecodeError) as cause:
        raise BadInput(
            f"cannot read {path}: {getattr(cause, 'strerror', None) or 'it is not text in UTF-8'}"
        ) from cause
