"""The ways out. Each sends one parcel and says how it ended; none decides what happens next (that is `settle`)."""

from app.core.settings import Settings
from app.deliver.transport import Transport
from app.deliver.transports.file import File
from app.deliver.transports.public_only import PublicOnly
from app.deliver.transports.smtp import Smtp
from app.deliver.transports.webhook import Webhook


def build_transports(settings: Settings, server_secret: bytes) -> dict[str, Transport]:
    """Give the transports of this process by kind; `smtp` only when it is configured. Raises BadSettings."""
    # Even where every address is allowed: it has threads of its own for looking names up, which a dead resolver may fill.
    network = PublicOnly(is_allowed=lambda _: True) if settings.webhook_allow_private else PublicOnly()
    built: dict[str, Transport] = {
        "webhook": Webhook(server_secret, settings.webhook_timeout_s, network=network),
        "file": File(settings.var_dir / "mail"),
    }
    if settings.smtp_url is not None:
        built["smtp"] = Smtp.from_settings(settings)
    return built
