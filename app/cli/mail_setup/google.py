"""Google Workspace and Gmail: an app password, Google's relay for known hosts, or OAuth2 with a service account or a refresh token."""

from app.cli.mail_setup.dialog import Dialog
from app.cli.mail_setup.oauth import Credentials, Question, log_in_with_token
from app.cli.mail_setup.smtp import SmtpQuestions
from app.cli.mail_setup.way import MailWay

_SERVER = "smtp.gmail.com:587"
_RELAY = "smtp-relay.gmail.com:587"  # https://support.google.com/a/answer/2956491
_WAYS = (
    (
        "app-password",
        "an app password of the account (needs 2-Step Verification): https://myaccount.google.com/apppasswords",
    ),
    ("relay", "Workspace: the SMTP relay service, which knows this host by its address and needs no login"),
    ("service-account", "Workspace: a service account with domain-wide delegation"),
    ("refresh-token", "an OAuth client of your own, and a refresh token"),
)
_SERVICE_ACCOUNT = [
    Question("service-account", "oauth_service_account_file", "JSON key file of the service account", is_file=True)
]
_REFRESH_TOKEN = [
    Question("client-id", "oauth_client_id", "Client id of the OAuth client"),
    Question("client-secret", "oauth_client_secret", "Client secret", is_secret=True),
    Question("refresh-token", "oauth_refresh_token", "Refresh token for https://mail.google.com/", is_secret=True),
]


def ask_google(dialog: Dialog, address: str, ehlo_name: str | None) -> MailWay:
    """Ask and test until a login succeeds."""
    match dialog.choose("via", "How does this host prove itself to Google?", _WAYS, "app-password"):
        case "relay":
            return SmtpQuestions(dialog, _RELAY, "-", ehlo_name).ask_all()
        case "service-account":
            return _with_token(dialog, address, _SERVICE_ACCOUNT)
        case "refresh-token":
            return _with_token(dialog, address, _REFRESH_TOKEN)
        case _:
            return SmtpQuestions(dialog, _SERVER, address, ehlo_name).ask_all()


def _with_token(dialog: Dialog, address: str, questions: list[Question]) -> MailWay:
    mailbox = dialog.ask("mailbox", "Mailbox that sends", address)
    credentials = Credentials(dialog, questions, {"oauth_provider": "google"})

    def way() -> MailWay:
        smtp = log_in_with_token(dialog, credentials, mailbox, _SERVER)
        return MailWay("smtp", credentials.changes() | smtp, again, mailbox)

    def again() -> MailWay:
        credentials.correct()
        return way()

    return way()
