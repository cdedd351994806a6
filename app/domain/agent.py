"""Customers and their agents: whose backups these are, and the programs that report them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Customer:
    """Whose backups these are. `time_zone` says where their days begin."""

    id: str
    name: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Agent:
    """A program on a host that makes backups. `silent_at` is when the clock calls it silent; None: never."""

    id: str
    customer_id: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    silent_after: timedelta | None = None
    last_heard_at: datetime | None = None
    silent_at: datetime | None = None
