"""Asks for an SMTP server and its login, and tests each answer at once. A wrong one is asked for again."""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpcore
import typer

from app.cli.mail_setup.dialog import Dialog, stop
from app.cli.mail_setup.smtp_check import Answer, Step, Trial, check_server
from app.cli.mail_setup.way import MailWay
from app.core.smtp_url import SmtpServer, Tls, is_loopback
from app.deliver.transports.evidence import evidence_line
from app.deliver.transports.public_only import RESOLVE_S, resolve_host

_CONNECT_S = 5.0
_USUAL = ((587, Tls.STARTTLS), (465, Tls.TLS), (25, Tls.STARTTLS))
_USUAL_HERE = ((25, Tls.NONE), (587, Tls.NONE))
_IMPLICIT_TLS = 465
_NO_LOGIN = "-"
_ORDER = ("DNS", "connect", "TLS", "EHLO", "login")


@dataclass(slots=True)
class SmtpAnswers:
    """What was answered so far. `authority` is the text of a PEM file that is trusted in place of the system's authorities."""

    host: str = ""
    port: int = 0
    tls: Tls = Tls.STARTTLS
    user: str = ""
    password: str = ""
    authority: str | None = None
    ehlo_name: str | None = None

    def trial(self) -> Trial:
        """Return what to test."""
        server = SmtpServer(self.host, self.port, self.tls, self.user or None, self.password or None)
        return Trial(server, ssl.create_default_context(cadata=self.authority), self.ehlo_name)

    def url(self) -> str:
        """Return the value of `TOCSIN_SMTP_URL`."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        return f"smtp://{login}{_join(self.host, self.port)}?tls={self.tls}"


class SmtpQuestions:
    """The questions about one server."""

    def __init__(
        self, dialog: Dialog, suggested_server: str | None, suggested_user: str, ehlo_name: str | None
    ) -> None:
        self._dialog = dialog
        self._suggested_server = suggested_server
        self._suggested_user = suggested_user
        self._answers = SmtpAnswers(ehlo_name=ehlo_name)

    def ask_all(self) -> MailWay:
        """Ask and test until a login succeeds, or until the server answers if it needs no login."""
        if self._dialog.has("ca-file"):
            self._ask_authority()
        if self._dialog.has("ehlo-name"):
            self._ask_ehlo_name()
        self._ask_server()
        offers_login = self._until_it_works(from_step="DNS")
        if self._dialog.has("user") or (offers_login and self._dialog.may_ask):
            self._ask_login()
            self._until_it_works(from_step="login")
        return self._way()

    def _again(self) -> MailWay:
        """Have an answer corrected, after the server refused a mail, and test again."""
        self._correct(Step("mail", "", Answer.USER))
        self._until_it_works(from_step="DNS")
        return self._way()

    def _way(self) -> MailWay:
        answers = self._answers
        changes = {
            "smtp_url": answers.url(),
            "smtp_ca_file": None,
            "smtp_ehlo_name": answers.ehlo_name,
            "graph_mailbox": None,
            "smtp_oauth_token": None,
            "smtp_oauth_token_file": None,
        }
        files = {} if answers.authority is None else {"smtp_ca_file": answers.authority}
        sender = answers.user if "@" in answers.user else None
        return MailWay("smtp", changes, self._again, sender, files)

    def _until_it_works(self, from_step: str) -> bool:
        """Test, and have the answer at fault corrected, until nothing fails. Return whether the server offers a login."""
        while True:
            steps = asyncio.run(run_check(self._answers.trial(), from_step))
            failed = next((step for step in steps if step.fault is not None), None)
            if failed is None:
                return any(step.offers_login for step in steps)
            if not self._dialog.may_ask:
                stop("Nothing was written.")
            self._correct(failed)
            from_step = "DNS"

    def _correct(self, step: Step) -> None:
        problem = step.certificate
        if problem is not None and problem.self_signed is not None:
            question = "  Is this the fingerprint of your server, and do you want to trust this one certificate?"
            if self._dialog.confirm(question, default=False):
                self._answers.authority = problem.self_signed
                return
        choices = [(answer.value, "") for answer in Answer]
        choices += [("again", "try the same once more"), ("stop", "leave the settings as they are")]
        match self._dialog.choose("correct", "What do you want to correct?", choices, step.fault):
            case "stop":
                stop("Nothing was written.")
            case Answer.SERVER:
                self._ask_server()
            case Answer.ENCRYPTION:
                self._answers.tls = Tls(
                    self._dialog.ask("encryption", "Encryption", str(self._answers.tls), _wrong_tls)
                )
            case Answer.USER:
                self._ask_login()
            case Answer.PASSWORD:
                self._ask_password()
            case Answer.AUTHORITY:
                self._ask_authority()
            case Answer.EHLO_NAME:
                self._ask_ehlo_name()
            case _:
                pass  # the same once more

    def _ask_server(self) -> None:
        answers = self._answers
        known = _join(answers.host, answers.port) if answers.host else self._suggested_server
        answers.host, port = _split(
            self._dialog.ask("server", "Mail server, as host or host:port", known, _wrong_server)
        )
        if port is None:
            port, answers.tls = asyncio.run(_find_port(answers.host))
        elif port != answers.port:
            usual = Tls.NONE if is_loopback(answers.host) else Tls.STARTTLS
            answers.tls = Tls.TLS if port == _IMPLICIT_TLS else usual
        answers.port = port
        if self._dialog.has("encryption"):
            answers.tls = Tls(self._dialog.ask("encryption", "", None, _wrong_tls))
        typer.echo(f"  Port {answers.port}, encryption {answers.tls}.")

    def _ask_login(self) -> None:
        suggested = self._answers.user or self._suggested_user
        user = self._dialog.ask("user", f"User, or {_NO_LOGIN} for no login", suggested)
        self._answers.user, self._answers.password = ("", "") if user == _NO_LOGIN else (user, self._answers.password)
        if self._answers.user:
            self._ask_password()

    def _ask_password(self) -> None:
        self._answers.password = self._dialog.ask_secret("password", f"Password of {self._answers.user}")

    def _ask_authority(self) -> None:
        path = self._dialog.ask("ca-file", "PEM file with the authority's certificate", None, _wrong_authority)
        self._answers.authority = Path(path).read_text(encoding="ascii")

    def _ask_ehlo_name(self) -> None:
        self._answers.ehlo_name = self._dialog.ask("ehlo-name", "Full name of this host in DNS")


async def run_check(trial: Trial, from_step: str = "DNS") -> list[Step]:
    """Test a server and show each step; those before `from_step` only if they fail."""
    steps = []
    async with contextlib.aclosing(check_server(trial)) as checking:
        async for step in checking:
            steps.append(step)
            if step.fault is not None or _ORDER.index(step.name) >= _ORDER.index(from_step):
                show(step)
    return steps


def show(step: Step) -> None:
    """Print a step, and what to do if it failed: on one line each, as the text may be a stranger's."""
    typer.echo(f"  {'ok' if step.fault is None else '!!'} {step.name:<8} {evidence_line(step.text)}")
    if step.fault is not None and step.advice:
        typer.echo(f"     {evidence_line(step.advice)}")


async def _find_port(host: str) -> tuple[int, Tls]:
    """Return the first usual port that answers, with its usual encryption; the first of all if none does."""
    usual = _USUAL_HERE if is_loopback(host) else _USUAL
    try:
        async with asyncio.timeout(RESOLVE_S):
            addresses = await resolve_host(host, usual[0][0])
    except (TimeoutError, httpcore.ConnectError):
        return usual[0]  # the test that follows says why

    async def answers(port: int) -> bool:
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, writer = await asyncio.open_connection(str(addresses[0]), port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    found = await asyncio.gather(*(answers(port) for port, _ in usual))
    return next((one for one, is_open in zip(usual, found, strict=True) if is_open), usual[0])


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(text: str) -> tuple[str, int | None]:
    """Return host and port. Raises ValueError."""
    url = urlsplit(f"//{text}")
    if not url.hostname or url.username or url.path or url.query or url.fragment or any(map(str.isspace, text)):
        raise ValueError(text)
    return url.hostname, url.port


def _wrong_server(text: str) -> str | None:
    try:
        _split(text)
    except ValueError:
        return "must be a host or host:port, such as mail.example.org:587"
    return None


def _wrong_tls(text: str) -> str | None:
    return None if text in list(Tls) else "must be starttls, tls or none"


def _wrong_authority(text: str) -> str | None:
    try:
        ssl.create_default_context(cadata=Path(text).read_text(encoding="ascii"))
    except ssl.SSLError:
        return f"{text} contains no certificate in PEM form"
    except UnicodeDecodeError:
        return f"{text} contains no certificate in PEM form"
    except OSError as cause:
        return f"cannot read {text}: {cause.strerror}"
    return None
