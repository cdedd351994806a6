"""An agent: a program on a host that makes backups and reports them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Agent:
    """A program on a host that makes backups. `silent_at` is when the clock reports it silent; None: never."""

    id: str
    customer_id: str
    name: str
    created_at: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    silent_after: timedelta | None = None
    last_heard_at: datetime | None = None
    silent_at: datetime | None = None
    version: int = 1
