"""The transports of the service. Each sends one message and returns the outcome; `settle` decides what happens next."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from app.core.secret import Secret
from app.core.settings import Settings
from app.deliver.transport import ProgramTransport, Transport
from app.domain.transport_options import Sealed

if TYPE_CHECKING:
    from app.deliver.transports.public_only import PublicOnly


def build_transports(settings: Settings, secret: Secret) -> dict[str, Transport]:
    """Return the transports of this process by kind; `smtp` and `graph` only if they are configured. Raises BadSettings."""
    # Imported here: who only wants to know what an error of a transport means must not load their libraries.
    from app.deliver.transports.file import FileTransport  # noqa: PLC0415

    built: dict[str, Transport] = {
        **build_programs(settings, secret),
        "file": FileTransport(settings.var_dir / "mail"),
    }
    if settings.smtp_url is not None:
        from app.deliver.transports.smtp import SmtpTransport  # noqa: PLC0415

        built["smtp"] = SmtpTransport.from_settings(settings)
    if settings.graph_mailbox is not None:
        from app.deliver.transports.graph import GraphTransport  # noqa: PLC0415

        built["graph"] = GraphTransport.from_settings(settings)
    return built


def build_programs(
    settings: Settings, secret: Secret, unseal: Callable[[Sealed], str] | None = None
) -> dict[str, ProgramTransport]:
    """Return the transports to programs by kind. `unseal` reads the secrets of addresses; a preview passes one that masks them."""
    import ssl  # noqa: PLC0415

    from app.deliver.transports.alertmanager import AlertmanagerTransport  # noqa: PLC0415
    from app.deliver.transports.apprise import AppriseTransport  # noqa: PLC0415
    from app.deliver.transports.http_caller import HttpCaller  # noqa: PLC0415
    from app.deliver.transports.icinga2 import Icinga2Transport  # noqa: PLC0415
    from app.deliver.transports.lazy import LazyTransport  # noqa: PLC0415
    from app.deliver.transports.nagios import NagiosTransport  # noqa: PLC0415
    from app.deliver.transports.one_at_a_time import OneAtATime  # noqa: PLC0415
    from app.deliver.transports.opsgenie import OpsgenieTransport  # noqa: PLC0415
    from app.deliver.transports.pagerduty import PagerdutyTransport  # noqa: PLC0415
    from app.deliver.transports.syslog import SyslogTransport  # noqa: PLC0415
    from app.deliver.transports.webhook import WebhookTransport  # noqa: PLC0415
    from app.deliver.transports.zabbix import ZabbixTransport  # noqa: PLC0415

    network, timeout_s = open_network(settings), settings.webhook_timeout_s
    tls = (
        ssl.create_default_context()
    )  # one for all: each takes 20 ms of the start and a MiB for the system's authorities
    unseal = unseal or (lambda sealed: secret.unseal(sealed.ciphertext))

    def snmp() -> ProgramTransport:
        from app.deliver.transports.snmp import SnmpTransport  # noqa: PLC0415  (pysnmp is large, and may not be installed)

        return SnmpTransport(network, unseal, timeout_s, b"\x80\x00\x7e\xd9\x05" + secret.derive("snmp engine")[:12])

    def caller() -> HttpCaller:
        return HttpCaller(timeout_s, network=network, tls=tls)

    return {
        "webhook": WebhookTransport(secret.derive("webhook"), timeout_s, network=network, tls=tls, unseal=unseal),
        "alertmanager": OneAtATime(AlertmanagerTransport(caller(), unseal)),
        "pagerduty": OneAtATime(PagerdutyTransport(caller(), unseal)),
        "opsgenie": OneAtATime(OpsgenieTransport(caller(), unseal)),
        "syslog": OneAtATime(SyslogTransport(network, timeout_s)),
        "zabbix": OneAtATime(ZabbixTransport(network, timeout_s)),
        "icinga2": OneAtATime(Icinga2Transport(network, timeout_s, unseal)),
        "nagios": OneAtATime(NagiosTransport(caller(), unseal)),
        "snmp": OneAtATime(LazyTransport("tocsin[snmp]", snmp)),
        "apprise": AppriseTransport(unseal, timeout_s, allow_private=settings.webhook_allow_private),
    }


def open_network(settings: Settings) -> "PublicOnly":
    """Return the network that transports to programs use: the one rule about private addresses."""
    from app.deliver.transports.public_only import PublicOnly  # noqa: PLC0415

    # Used even where every address is allowed: it resolves names in its own threads, so a dead resolver blocks nothing else.
    return PublicOnly(is_allowed=lambda _: True) if settings.webhook_allow_private else PublicOnly()
