"""Exchange Online: sends by Microsoft Graph, or over SMTP with OAuth2; both with an app registration and without a password."""

import typer

from app.cli.mail_setup.dialog import Dialog
from app.cli.mail_setup.oauth import Credentials, Question, log_in_with_token
from app.cli.mail_setup.way import Changes, MailWay
from app.core.oauth_settings import CLOUDS
from app.deliver.access_tokens import Purpose

# https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/pop3-and-imap4/pop3-and-imap4; another cloud's is asked for
_SMTP_SERVERS = {"global": "smtp.office365.com:587", "china": "smtp.partner.outlook.cn:587"}
_CLOUD_OF_MX = (("office365.us", "us_gov"), ("partner.outlook.cn", "china"))
_WAYS = (
    ("graph", "Microsoft Graph; needs the application permission Mail.Send"),
    ("smtp", "SMTP with OAuth2; needs SMTP.SendAsApp, and SMTP AUTH enabled for the mailbox"),
)
_SECRETS = (
    ("certificate", "a certificate whose public part is uploaded to the app registration"),
    ("secret", "a client secret"),
)


class MicrosoftQuestions:
    """The questions about a mailbox in Exchange Online."""

    def __init__(self, dialog: Dialog, address: str, suggested_server: str | None) -> None:
        self._dialog = dialog
        self._address = address
        self._suggested_server = suggested_server or ""
        self._mailbox = ""
        self._via = ""

    def ask_all(self) -> MailWay:
        """Ask and test until a token was given; over SMTP, until the login succeeded too."""
        if self._dialog.may_ask:
            typer.echo(
                "You need an app registration in Microsoft Entra: docs/mail.md, section Exchange Online, has the steps."
            )
        self._via = self._dialog.choose("via", "How is mail handed over?", _WAYS, "graph")
        likely = next((cloud for end, cloud in _CLOUD_OF_MX if self._suggested_server.endswith(f"{end}:587")), "global")
        cloud = likely
        if self._dialog.has("cloud") or likely != "global":
            cloud = self._dialog.choose("cloud", "Which cloud of Microsoft?", [(name, "") for name in CLOUDS], likely)
        self._mailbox = self._dialog.ask("mailbox", "Mailbox that sends", self._address)
        kind = self._dialog.choose(
            "credential",
            "How does the app prove itself?",
            _SECRETS,
            "secret" if self._dialog.has("client-secret") else "certificate",
        )
        questions = [
            Question("tenant", "oauth_tenant", "Tenant: its id or domain", self._mailbox.rpartition("@")[2]),
            Question("client-id", "oauth_client_id", "Application (client) id"),
        ]
        if kind == "certificate":
            asked = "PEM file with the private key and its certificate"
            questions += [Question("certificate", "oauth_certificate_file", asked, is_file=True)]
        else:
            asked = "Last day of the secret, such as 2027-12-31"
            questions += [
                Question(
                    "client-secret", "oauth_client_secret", "Client secret (its value, not its id)", is_secret=True
                ),
                Question("secret-expires", "oauth_secret_expires", asked, "", is_date=True),
            ]
        credentials = Credentials(self._dialog, questions, {"oauth_provider": "microsoft", "oauth_cloud": cloud})
        return self._way(credentials, cloud)

    def _way(self, credentials: Credentials, cloud: str) -> MailWay:
        if self._via == "graph":
            others: Changes = {"graph_mailbox": self._mailbox, "smtp_url": None}  # which would be used first
            credentials.ask_all(Purpose.GRAPH, others, None)
        else:
            server = _SMTP_SERVERS.get(cloud)
            others = log_in_with_token(self._dialog, credentials, self._mailbox, server)

        def again() -> MailWay:
            credentials.correct()
            return self._way(credentials, cloud)

        return MailWay(self._via, credentials.changes() | dict(others), again, self._mailbox)
