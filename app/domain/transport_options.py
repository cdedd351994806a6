"""What a transport to a program needs next to its address: names, mappings and secrets, one frozen type for each kind of transport. Pure.

Secrets are sealed: only `core/secret.py` can read them, with the server secret.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

_SECRET_HEADER = re.compile(r"authorization|cookie|token|secret|password|credential|api-?key|signature", re.IGNORECASE)


def is_secret_header(name: str) -> bool:
    """Return whether the value of a header with this name is a secret."""
    return _SECRET_HEADER.search(name) is not None


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret, encrypted with the server secret. Its text is never part of a log line."""

    ciphertext: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AlertmanagerOptions:
    """How alerts become alerts of a Prometheus Alertmanager. Values of labels and annotations may contain `{agent}` and the like."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    password: Sealed | None = None
    bearer_token: Sealed | None = None
    refresh_s: int = 60  # open alerts are sent again after it: less than Alertmanager's `resolve_timeout`


@dataclass(frozen=True, slots=True)
class PagerdutyOptions:
    """The integration of a PagerDuty service, and which severity there stands for one of ours where they differ.

    `webhook_secret` signs what PagerDuty reports to us.
    """

    routing_key: Sealed | None = None
    severities: Mapping[str, str] = field(default_factory=dict)
    webhook_secret: Sealed | None = None


@dataclass(frozen=True, slots=True)
class OpsgenieOptions:
    """The integration of Opsgenie, and which priority there (P1 to P5) stands for a severity of ours. It sends `webhook_secret` with what it reports to us."""

    api_key: Sealed | None = None
    priorities: Mapping[str, str] = field(default_factory=dict)
    webhook_secret: Sealed | None = None


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """What is posted: the standard document, or `format` made of it, by `template` where that is set; and further headers."""

    format: str = "standard"
    template: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, Sealed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceNames:
    """How host and service are called there that an alert belongs to. `{agent}` and the like are replaced."""

    host: str = "{agent}"
    service: str = "{job} {kind}"


@dataclass(frozen=True, slots=True)
class SyslogOptions:
    """How lines are written to a syslog server. `ca_certificate`: PEM of an authority of one's own, for TLS."""

    facility: str = "daemon"
    ca_certificate: str | None = None


@dataclass(frozen=True, slots=True)
class SnmpOptions:
    """How notifications are sent. `community` is for version 2c; the rest, for version 3."""

    version: str = "2c"
    form: str = "trap"
    community: Sealed | None = None
    user: str | None = None
    auth_protocol: str = "sha256"
    auth_password: Sealed | None = None
    priv_protocol: str = "aes128"
    priv_password: Sealed | None = None


@dataclass(frozen=True, slots=True)
class Icinga2Options:
    """How alerts become passive results of services in Icinga 2."""

    host: str = "{agent}"
    service: str = "{job} {kind}"
    user: str = "tocsin"
    password: Sealed | None = None
    ttl_s: int | None = None
    ca_certificate: str | None = None

    @property
    def names(self) -> ServiceNames:
        """Host and service."""
        return ServiceNames(self.host, self.service)


@dataclass(frozen=True, slots=True)
class NagiosOptions:
    """How alerts become passive results of services in Nagios, by NRDP."""

    host: str = "{agent}"
    service: str = "{job} {kind}"
    token: Sealed | None = None

    @property
    def names(self) -> ServiceNames:
        """Host and service."""
        return ServiceNames(self.host, self.service)


@dataclass(frozen=True, slots=True)
class ZabbixOptions:
    """How alerts become values of trapper items in Zabbix."""

    host: str = "{agent}"
    key: str = 'tocsin.state["{job}","{kind}"]'


@dataclass(frozen=True, slots=True)
class AppriseOptions:
    """The URL of one service, as Apprise writes it. It is a secret, because it contains tokens."""

    url: Sealed | None = None


TransportOptions = (
    WebhookOptions
    | AlertmanagerOptions
    | PagerdutyOptions
    | OpsgenieOptions
    | SyslogOptions
    | SnmpOptions
    | Icinga2Options
    | NagiosOptions
    | ZabbixOptions
    | AppriseOptions
)
OPTIONS: Mapping[str, type[TransportOptions]] = {
    "webhook": WebhookOptions,
    "alertmanager": AlertmanagerOptions,
    "pagerduty": PagerdutyOptions,
    "opsgenie": OpsgenieOptions,
    "syslog": SyslogOptions,
    "snmp": SnmpOptions,
    "icinga2": Icinga2Options,
    "nagios": NagiosOptions,
    "zabbix": ZabbixOptions,
    "apprise": AppriseOptions,
}
PROGRAM_TRANSPORTS = tuple(OPTIONS)
# By which this service sends. The relay sends by `mapi`, from a Windows host.
OwnTransport = Literal[
    "smtp",
    "graph",
    "webhook",
    "file",
    "alertmanager",
    "pagerduty",
    "opsgenie",
    "syslog",
    "snmp",
    "icinga2",
    "nagios",
    "zabbix",
    "apprise",
]
AnyTransport = Literal[OwnTransport, "mapi"]
_LONGEST_REFRESH_S = 3600


def refresh_s_of(transport: str, options: TransportOptions | None) -> int | None:
    """Return after how many seconds open alerts are sent again because the other side forgets them; None: it does not."""
    match options:
        case Icinga2Options(ttl_s=int(ttl_s)):
            return min(ttl_s // 3, _LONGEST_REFRESH_S)  # a third, so that one that fails does not end the result
        case AlertmanagerOptions(refresh_s=refresh_s):
            return refresh_s
        case _:
            return AlertmanagerOptions().refresh_s if transport == "alertmanager" else None
