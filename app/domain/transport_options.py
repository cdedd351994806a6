"""What a transport to a program needs next to its address: names, mappings and secrets, one frozen type for each kind of transport. Pure.

Secrets are sealed: only `core/secret.py` can read them, with the server secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


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
    """The integration of a PagerDuty service, and which severity there stands for one of ours where they differ."""

    routing_key: Sealed | None = None
    severities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpsgenieOptions:
    """The integration of Opsgenie, and which priority there (P1 to P5) stands for a severity of ours."""

    api_key: Sealed | None = None
    priorities: Mapping[str, str] = field(default_factory=dict)


TransportOptions = AlertmanagerOptions | PagerdutyOptions | OpsgenieOptions
PROGRAM_TRANSPORTS = ("webhook", "alertmanager", "pagerduty", "opsgenie")
OPTIONS: Mapping[str, type[TransportOptions]] = {
    "alertmanager": AlertmanagerOptions,
    "pagerduty": PagerdutyOptions,
    "opsgenie": OpsgenieOptions,
}
