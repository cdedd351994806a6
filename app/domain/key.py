"""A key: what a caller shows to be let in, and what it is good for. Pure; the key itself is never kept, only its hash."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class KeyKind(StrEnum):
    """What a key is good for."""

    ENROL = "enrol"  # sends events for any agent of a customer and creates unknown ones
    AGENT = "agent"  # sends events for its own agent
    ADMIN = "admin"
    VIEWER = "viewer"
    RELAY = "relay"


class KeyForm(StrEnum):
    """How a key looks, for tools that look at it."""

    TOCSIN = "tocsin"  # tocsin_agent_...: known at sight, 256 bits
    UUID = "uuid"  # 122 bits; as Healthchecks' addresses
    TOKEN = "token"  # 32 letters and digits, 190 bits; as push tokens  # noqa: S105


@dataclass(frozen=True, slots=True)
class Key:
    """One key as people see it. `hint` is its beginning; `customer_id` None means every customer."""

    id: str
    kind: KeyKind
    name: str
    hint: str
    created_at: datetime
    customer_id: str | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    relay_id: str | None = None
    job: str | None = None  # what a tool that cannot name a job speaks of
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
