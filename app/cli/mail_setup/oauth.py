"""Asks for the credentials of Microsoft or Google, and gets an access token with them at once. A wrong answer is asked for again."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import quote

from app.cli.mail_setup.dialog import Dialog, stop
from app.cli.mail_setup.smtp import run_check, show
from app.cli.mail_setup.smtp_check import Step, Trial
from app.cli.mail_setup.way import Changes, with_changes
from app.core.errors import BadSettings
from app.deliver.access_tokens import Purpose, TokenRefused, build_access_tokens
from app.deliver.transports.smtp_connect import read_accesses

OAUTH_SETTINGS = (
    "oauth_provider",
    "oauth_cloud",
    "oauth_tenant",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_secret_expires",
    "oauth_certificate_file",
    "oauth_service_account_file",
    "oauth_refresh_token",
)
# Parts of what the token service says -> the answer that is probably wrong (app/deliver/access_tokens.py words them).
_AT_FAULT = (
    ("OAUTH_TENANT", "tenant"),
    ("OAUTH_CLIENT_ID names", "client-id"),
    ("OAUTH_CLIENT_SECRET", "client-secret"),
    ("CERTIFICATE", "certificate"),
    ("certificate", "certificate"),
    ("OAUTH_REFRESH_TOKEN", "refresh-token"),
    ("SERVICE_ACCOUNT", "service-account"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """One credential: the option that may answer it, the setting that it is for, and how it is asked for."""

    option: str
    setting: str
    text: str
    default: str | None = None
    is_secret: bool = False
    is_file: bool = False
    is_date: bool = False


class Credentials:
    """The questions about one set of credentials."""

    def __init__(self, dialog: Dialog, questions: Sequence[Question], fixed: Changes) -> None:
        self._dialog = dialog
        self._questions = {question.option: question for question in questions}
        self._fixed = fixed
        self._answers: dict[str, str] = {}

    def changes(self) -> dict[str, str | None]:
        """Return the settings of OAuth2; those that are not needed are removed."""
        answers = {setting: answer or None for setting, answer in self._answers.items()}
        return dict.fromkeys(OAUTH_SETTINGS) | dict(self._fixed) | answers

    def ask_all(self, purpose: Purpose, others: Changes, mailbox: str | None) -> None:
        """Ask for each, and then for those that are wrong, until a token was given. `others` are settings that go with these."""
        for option, question in self._questions.items():
            if question.setting not in self._answers:
                self._ask(option)
        while True:
            wrong = asyncio.run(_try(self.changes() | dict(others), purpose, mailbox))
            if wrong is None:
                return
            if not self._dialog.may_ask:
                stop("Nothing was written.")
            self.correct(wrong)

    def correct(self, wrong: str = "") -> None:
        """Have one answer corrected; by default the one that the error is about."""
        suggested = next((option for part, option in _AT_FAULT if part in wrong and option in self._questions), "again")
        choices = [(option, question.text) for option, question in self._questions.items()]
        choices += [("again", "try the same once more"), ("stop", "leave the settings as they are")]
        chosen = self._dialog.choose("correct", "What do you want to correct?", choices, suggested)
        if chosen == "stop":
            stop("Nothing was written.")
        if chosen in self._questions:
            self._ask(chosen)

    def _ask(self, option: str) -> None:
        question = self._questions[option]
        if question.is_secret:
            self._answers[question.setting] = self._dialog.ask_secret(option, question.text)
            return
        default = self._answers.get(question.setting, question.default)
        check = _wrong_file if question.is_file else _wrong_date if question.is_date else None
        answer = self._dialog.ask(option, question.text, default, check)
        self._answers[question.setting] = str(Path(answer).resolve()) if question.is_file else answer


async def _try(changes: Changes, purpose: Purpose, mailbox: str | None) -> str | None:
    """Get a token, and show how that ended. Return what is wrong, or None."""
    try:
        tokens = build_access_tokens(with_changes(changes), purpose, mailbox=mailbox)
        if tokens is not None:
            await tokens.token()
    except BadSettings as wrong:
        show(Step("token", wrong.detail, "credentials", "Correct this answer."))
        return wrong.detail
    except TokenRefused as refused:
        advice = "Check that this host reaches the token service." if refused.is_temporary else "Correct this answer."
        show(Step("token", refused.text, "credentials", advice))
        return refused.text
    show(Step("token", f"given for {purpose}"))
    return None


def _wrong_date(text: str) -> str | None:
    try:
        date.fromisoformat(text or "2027-12-31")
    except ValueError:
        return "must be a date, such as 2027-12-31"
    return None


def _wrong_file(text: str) -> str | None:
    return None if Path(text).is_file() else f"there is no file {text}"


def log_in_with_token(
    dialog: Dialog, credentials: Credentials, mailbox: str, server: str | None
) -> dict[str, str | None]:
    """Ask for the credentials until a login over SMTP with their token succeeds. Return the settings of SMTP."""
    if server is None or dialog.has("server"):
        server = dialog.ask("server", "Mail server, as host or host:port", server)
    encryption = f"tls={dialog.ask('encryption', '')}&" if dialog.has("encryption") else ""
    settings: dict[str, str | None] = {
        "smtp_url": f"smtp://{quote(mailbox, safe='')}@{server}?{encryption}auth=xoauth2",
        "smtp_ca_file": str(Path(dialog.ask("ca-file", "")).resolve()) if dialog.has("ca-file") else None,
        "graph_mailbox": None,
        "smtp_oauth_token": None,
        "smtp_oauth_token_file": None,
    }
    while True:
        credentials.ask_all(Purpose.SMTP, settings, mailbox)
        if asyncio.run(_log_in(credentials.changes() | settings, mailbox)):
            return settings
        if not dialog.may_ask:
            stop("Nothing was written.")
        credentials.correct()


async def _log_in(changes: Changes, mailbox: str) -> bool:
    """Test the server and the login with a new token, and show the steps. Return whether it succeeded."""
    settings = with_changes(changes)
    [access] = read_accesses(settings)
    tokens = build_access_tokens(settings, Purpose.SMTP, mailbox=mailbox)
    trial = Trial(access.server, access.tls, access.ehlo_name, None if tokens is None else tokens.token)
    return (await run_check(trial))[-1].fault is None
