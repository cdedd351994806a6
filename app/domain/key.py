"""A key: a secret that authenticates a caller, and what it permits. Pure; the key itself is never stored, only its hash."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class KeyKind(StrEnum):
    """What a key permits."""

    ENROL = "enrol"  # sends events for any agent of a customer and creates unknown ones
    AGENT = "agent"  # sends events for its own agent
    ADMIN = "admin"
    VIEWER = "viewer"
    RELAY = "relay"


class KeyForm(StrEnum):
    """The format of a key, for tools that check it."""

    TOCSIN = "tocsin"  # tocsin_agent_...: recognised by its prefix, 256 bits
    UUID = "uuid"  # 122 bits; the format of Healthchecks' ping URLs
    TOKEN = "token"  # 32 letters and digits, 190 bits; the format of push tokens  # noqa: S105


@dataclass(frozen=True, slots=True)
class Key:
    """One key as administrators see it. `hint` is its beginning; `customer_id` None means every customer."""

    id: str
    kind: KeyKind
    name: str
    hint: str
    created_at: datetime
    customer_id: str | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    relay_id: str | None = None
    job: str | None = None  # the job of a tool that cannot name one
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
