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


TransportOptions = AlertmanagerOptions
PROGRAM_TRANSPORTS = ("webhook", "alertmanager")
OPTIONS: Mapping[str, type[TransportOptions]] = {"alertmanager": AlertmanagerOptions}
