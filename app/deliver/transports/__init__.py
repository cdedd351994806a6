"""The transports of the service. Each sends one message and returns the outcome; `settle` decides what happens next."""

from app.core.settings import Settings
from app.deliver.transport import Transport


def build_transports(settings: Settings, server_secret: bytes) -> dict[str, Transport]:
    """Return the transports of this process by kind; `smtp` and `graph` only if they are configured. Raises BadSettings."""
    # Imported here: who only wants to know what an error of a transport means must not load their libraries.
    from app.deliver.transports.file import FileTransport  # noqa: PLC0415
    from app.deliver.transports.public_only import PublicOnly  # noqa: PLC0415
    from app.deliver.transports.webhook import WebhookTransport  # noqa: PLC0415

    # Used even where every address is allowed: it resolves names in its own threads, so a dead resolver blocks nothing else.
    network = PublicOnly(is_allowed=lambda _: True) if settings.webhook_allow_private else PublicOnly()
    built: dict[str, Transport] = {
        "webhook": WebhookTransport(server_secret, settings.webhook_timeout_s, network=network),
        "file": FileTransport(settings.var_dir / "mail"),
    }
    if settings.smtp_url is not None:
        from app.deliver.transports.smtp import SmtpTransport  # noqa: PLC0415

        built["smtp"] = SmtpTransport.from_settings(settings)
    if settings.graph_mailbox is not None:
        from app.deliver.transports.graph import GraphTransport  # noqa: PLC0415

        built["graph"] = GraphTransport.from_settings(settings)
    return built
