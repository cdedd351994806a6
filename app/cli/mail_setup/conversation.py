"""The conversation of `tocsin setup mail`: its questions in their order, the test mail, and what is written at its end."""

import asyncio
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import httpx
import typer

from app.cli import settings_file
from app.cli.mail_setup.dialog import Dialog, stop
from app.cli.mail_setup.google import ask_google
from app.cli.mail_setup.lookup import look_up, read_name_server
from app.cli.mail_setup.microsoft import MicrosoftQuestions
from app.cli.mail_setup.outlook import set_up_outlook
from app.cli.mail_setup.smtp import SmtpQuestions, show
from app.cli.mail_setup.smtp_check import Step
from app.cli.mail_setup.systems import TITLES, MailSystem, Suggestion, suggest
from app.cli.mail_setup.way import MailWay, with_changes
from app.core.config_file import config_file, read_environment
from app.core.errors import BadInput, BadSettings, Conflict
from app.core.mail_address import split_address
from app.core.settings import Settings
from app.core.settings_checks import check_sender
from app.core.smtp_url import MOST_SERVERS, read_smtp_url
from app.deliver.transports.remedies import remedy_of

_HINTS = {
    MailSystem.EXCHANGE: "Exchange accepts mail of programs at a receive connector: port 587 with a login, or port 25 for the addresses that it names.",
    MailSystem.PROVIDER: "The provider's help page names the server. Amazon SES: email-smtp.<region>.amazonaws.com; SendGrid: smtp.sendgrid.net, user apikey; Mailgun: smtp.mailgun.org.",
}
# By the code of the attempt (`remedy_of`): the answer that is probably wrong.
_AT_FAULT = {
    "sender": "sender",
    "sender_dns": "sender",
    "mailbox_full": "recipient",
    "smtputf8": "recipient",
    "address": "recipient",
}


class MailSetup:
    """One run of the questions. Nothing is written before its end."""

    def __init__(self, dialog: Dialog, settings: Settings, dns_server: str | None) -> None:
        self._dialog = dialog
        self._settings = settings
        self._dns_server = dns_server
        self._to = ""
        self._sender = ""

    def run(self) -> None:
        """Ask, test, send a test mail, and write the settings."""
        if self._dialog.may_ask:
            typer.echo("Each answer is tested at once. Ctrl-C leaves the settings as they are.")
        self._to = self._dialog.ask("to", "Mail address that alerts go to", self._settings.admin_email, _wrong_address)
        try:
            resolver = None if self._dns_server is None else read_name_server(self._dns_server)
        except ValueError:
            raise BadInput("--dns-server: must be an address, or address:port") from None
        domain = self._to.rpartition("@")[2]
        suggestion = suggest(domain, asyncio.run(look_up(domain, resolver)))
        typer.echo(f"  {suggestion.why}.")
        system = MailSystem(
            self._dialog.choose("system", "Which mail system sends your mail?", list(TITLES.items()), suggestion.system)
        )
        if system is MailSystem.OUTLOOK:
            is_online = suggestion.system is MailSystem.EXCHANGE_ONLINE
            set_up_outlook(self._dialog, self._settings, self._to, is_exchange_online=is_online)
            return
        if system is not suggestion.system and {system, suggestion.system} != {MailSystem.OWN, MailSystem.EXCHANGE}:
            suggestion = Suggestion(system, "")
        ehlo_name = self._settings.smtp_ehlo_name
        match system:
            case MailSystem.EXCHANGE_ONLINE:
                way = MicrosoftQuestions(self._dialog, self._to, suggestion.server).ask_all()
            case MailSystem.GOOGLE:
                way = ask_google(self._dialog, self._to, ehlo_name)
            case _:
                if self._dialog.may_ask and system in _HINTS:
                    typer.echo(f"  {_HINTS[system]}")
                way = SmtpQuestions(self._dialog, suggestion.server, self._to, ehlo_name).ask_all()
        sender = self._settings.mail_from
        is_other = way.sender is not None and split_address(sender)[1] != way.sender
        if is_other or sender == Settings.model_fields["mail_from"].default:
            sender = f"Tocsin <{way.sender or 'tocsin@' + self._to.rpartition('@')[2]}>"
        self._sender = self._dialog.ask("from", "Sender of every mail", sender, _wrong_sender)
        way = self._send_until_accepted(way)
        self._ask_arrival()
        self._write(self._with_old_servers(way))

    def _send_until_accepted(self, way: MailWay) -> MailWay:
        from app.cli.send_test import record_trial, try_transport  # noqa: PLC0415  (takes a second, which the first question need not wait)

        while True:
            with tempfile.TemporaryDirectory(prefix="tocsin-setup-") as folder:
                files = {name: Path(folder) / _file_name(name) for name in way.files}
                for name, path in files.items():
                    path.write_text(way.files[name], encoding="ascii")
                # The folder keeps what a transport creates: before the first start, and as root, it must not be left in `var_dir`.
                candidate = with_changes({**self._changes(way, files), "var_dir": folder})
                typer.echo(f"Sending a test mail from {self._sender} to {self._to} ...")
                trial, seconds = asyncio.run(try_transport(candidate, way.transport, self._to))
            is_sent = trial.outcome == "sent"
            text = f"{trial.outcome}: {trial.code} {trial.text} ({seconds:.1f} s)"
            likely = _AT_FAULT.get(trial.code, "recipient" if trial.outcome == "permanent" else "server")
            show(Step("mail", text, None if is_sent else likely, remedy_of(trial.code) or ""))
            if is_sent:
                if _has_run(self._settings):
                    asyncio.run(record_trial(self._settings, trial))
                return way
            if not self._dialog.may_ask:
                stop("Nothing was written.")
            way = self._correct(way, likely)

    def _correct(self, way: MailWay, likely: str) -> MailWay:
        choices = [
            ("sender", "the server may not let this user send as this address"),
            ("recipient", "the address may be wrong"),
            ("server", "server, login and encryption"),
            ("again", "try the same once more"),
            ("stop", "leave the settings as they are"),
        ]
        match self._dialog.choose("correct", "What do you want to correct?", choices, likely):
            case "sender":
                self._sender = self._dialog.ask("from", "Sender of every mail", self._sender, _wrong_sender)
            case "recipient":
                self._to = self._dialog.ask("to", "Mail address that alerts go to", self._to, _wrong_address)
            case "server":
                return way.correct()
            case "stop":
                stop("Nothing was written.")
            case _:
                pass  # the same once more
        return way

    def _ask_arrival(self) -> None:
        if not self._dialog.may_ask or self._dialog.confirm(f"Did the mail arrive at {self._to}?", default=True):
            return
        typer.echo(
            "  The mail server accepted it. Look in the junk folder and in the quarantine of your mail system; a mail can take some minutes."
        )
        typer.echo(
            f"  Other systems refuse a sender whose domain does not name this server (SPF, DKIM): {self._sender}."
        )
        if not self._dialog.confirm("Write these settings although it has not arrived?", default=False):
            stop("Nothing was written.")

    def _with_old_servers(self, way: MailWay) -> MailWay:
        """Offer to keep the mail servers of now behind the new one. Not with an own authority, which all servers would have to be of."""
        old, new = self._settings.smtp_url, way.changes["smtp_url"]
        if old is None or new is None or way.files:
            return way
        first = read_smtp_url(new)
        urls = [(url, read_smtp_url(url)) for url in old.get_secret_value().split()]
        others = [url for url, one in urls if (one.host, one.port, one.user) != (first.host, first.port, first.user)]
        question = f"Keep {_shown('smtp_url', ' '.join(others))} for when the new server cannot be reached?"
        if not others or not self._dialog.confirm(question, default=False):
            return way
        return replace(way, changes={**way.changes, "smtp_url": " ".join([new, *others][:MOST_SERVERS])})

    def _changes(self, way: MailWay, files: dict[str, Path]) -> dict[str, str | None]:
        return {
            **way.changes,
            **{name: str(path) for name, path in files.items()},
            "admin_email": self._to,
            "mail_from": self._sender,
        }

    def _write(self, way: MailWay) -> None:
        config, _ = config_file()
        files = {name: config.resolve().parent / _file_name(name) for name in way.files}
        changes = self._changes(way, files)
        plan = settings_file.plan_changes(changes, read_environment())
        plan.certificates = {files[name]: text for name, text in way.files.items()}
        settings_file.write(plan)
        for name, path in plan.names.items():
            typer.echo(f"Written to {path}: {name} = {_shown(name, changes[name] or '')}")
        for name in plan.removed:
            typer.echo(f"Removed from {config}: {name}")
        old = self._settings.smtp_url
        if old is not None and old.get_secret_value() not in (changes["smtp_url"] or ""):
            typer.echo(f"No longer used: {_shown('smtp_url', old.get_secret_value())}")
        for name, variable in plan.hidden_by.items():
            typer.echo(
                f"! {variable} is set in the environment and overrides the file: remove it there, or {name} stays as it was."
            )
        if _is_running(self._settings):
            typer.echo("The service still uses the old settings: restart it, such as with `systemctl restart tocsin`.")
        else:
            typer.echo("The service uses them from its next start on: `tocsin serve`.")
        if self._settings.bounce_address is None:
            typer.echo("To notice mails that come back or get lost, set TOCSIN_BOUNCE_ADDRESS: docs/mail-bounces.md.")
        typer.echo("Recipients that you changed keep their transports; `tocsin doctor` shows what is missing.")


def _is_running(settings: Settings) -> bool:
    """Whether a service uses these settings on this host."""
    from app.store.engine import only_process  # noqa: PLC0415  (as above)

    if not _has_run(settings):
        return False
    if settings.is_sqlite:
        try:
            with only_process(settings):
                return False
        except Conflict:
            return True
    try:
        return httpx.get(f"{settings.local_url}/healthz", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _has_run(settings: Settings) -> bool:
    """Whether a service with these settings was ever started."""
    return not settings.is_sqlite or (settings.var_dir / "tocsin.lock").exists()


def _file_name(setting: str) -> str:
    """Return the name of the file that a setting names, such as `smtp-ca.pem` for `smtp_ca_file`."""
    return setting.removesuffix("_file").replace("_", "-") + ".pem"


def _shown(name: str, value: str) -> str:
    """Return the value as it may be shown."""
    if name in ("oauth_client_secret", "oauth_refresh_token"):
        return "..."
    # All up to the last @: a password that a person wrote may contain any of these characters.
    return re.sub(r"(//[^:@/\s]*):\S*@", r"\1:...@", value) if name == "smtp_url" else value


def _wrong_address(text: str) -> str | None:
    return None if re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", text) else "must be a mail address, such as ann@example.org"


def _wrong_sender(text: str) -> str | None:
    try:
        check_sender(text)
    except BadSettings as wrong:
        return wrong.detail.partition(": ")[2]
    return None
