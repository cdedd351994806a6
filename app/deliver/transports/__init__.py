"""The transports of the service. Each sends one message and returns the outcome; `settle` decides what happens next."""

from app.core.settings import Settings
from app.deliver.transport import Transport
from app.deliver.transports.file import FileTransport
from app.deliver.transports.graph import GraphTransport
from app.deliver.transports.public_only import PublicOnly
from app.deliver.transports.smtp import SmtpTransport
from app.deliver.transports.webhook import WebhookTransport


def build_transports(settings: Settings, server_secret: bytes) -> dict[str, Transport]:
    """Return the transports of this process by kind; `smtp` and `graph` only if they are configured. Raises BadSettings."""
    # Used even where every address is allowed: it resolves names in its own threads, so a dead resolver blocks nothing else.
    network = PublicOnly(is_allowed=lambda _: True) if settings.webhook_allow_private else PublicOnly()
    built: dict[str, Transport] = {
        "webhook": WebhookTransport(server_secret, settings.webhook_timeout_s, network=network),
        "file": FileTransport(settings.var_dir / "mail"),
    }
    if settings.smtp_url is not None:
        built["smtp"] = SmtpTransport.from_settings(settings)
    if settings.graph_mailbox is not None:
        built["graph"] = GraphTransport.from_settings(settings)
    return built
