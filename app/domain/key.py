"""A key: a secret that authenticates a caller, and what it permits. Pure; the key itself is never stored, only its hash."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.enrolment import EnrolmentLimits
from app.domain.person import Role


class KeyKind(StrEnum):
    """What a key permits."""

    ENROL = "enrol"  # sends events for any agent of a customer and creates unknown ones
    AGENT = "agent"  # sends events for its own agent
    ADMIN = "admin"
    VIEWER = "viewer"
    RELAY = "relay"
    ACCESS = "access"  # this API with a role, for every customer or chosen ones
    MONITOR = "monitor"  # reads how jobs stand, of all customers or of one, and nothing else


class KeyForm(StrEnum):
    """The format of a key, for tools that check it."""

    TOCSIN = "tocsin"  # tocsin_agent_...: recognised by its prefix, 256 bits
    UUID = "uuid"  # 122 bits; the format of Healthchecks' ping URLs
    TOKEN = "token"  # 32 letters and digits, 190 bits; the format of push tokens  # noqa: S105


@dataclass(frozen=True, slots=True)
class Key:
    """One key as administrators see it. `hint` is its beginning; `customer_id` None means every customer.

    Limits (domain/budget.py): None means the setting's. `bytes_used`: what was sent on `bytes_day`, a number of days since 1970 (UTC).
    """

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
    names: tuple[str, ...] = ()  # this and the next four limit an enrolment key (domain/enrolment.py)
    from_addresses: tuple[str, ...] = ()
    agents_most: int | None = None
    agents_until: datetime | None = None
    approve: bool = False
    refused_count: int = 0  # how many requests its limits refused, when the last one, and why
    refused_at: datetime | None = None
    refused_why: str | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    events_a_minute: int | None = None
    new_agents_an_hour: int | None = None
    new_jobs_an_hour: int | None = None
    bytes_a_day: int | None = None
    bytes_day: int | None = None
    bytes_used: int = 0
    role: Role | None = None  # of access; `customers` None means every customer
    customers: tuple[str, ...] | None = None
    expires_at: datetime | None = None
    previous_until: datetime | None = None  # after a rotation: until when the secret before it works, too
    last_used_from: str | None = None
    version: int = 1

    @property
    def limits(self) -> EnrolmentLimits | None:
        """What it lets in; None for a key that is no enrolment key."""
        if self.kind is not KeyKind.ENROL:
            return None
        return EnrolmentLimits(
            self.id, self.names, self.from_addresses, self.agents_most, self.agents_until, self.approve
        )
