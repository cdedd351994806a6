"""A lease: a claim on a message, which ends by itself. Pure."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.message import Message, Parcel


@dataclass(frozen=True, slots=True)
class Claim:
    """Names one claim. Each lease has a new token, which shows a holder that lost its lease."""

    message_id: str
    token: str


@dataclass(frozen=True, slots=True)
class Leased:
    """A message as its holder receives it: what to send, until when the lease lasts, and how many attempts were made before.

    `has_other_way` is known for relays only: the recipient has another transport for it.
    """

    claim: Claim
    transport: str
    parcel: Parcel
    until: datetime
    attempts: int
    created_at: datetime
    is_alert: bool = False
    maybe_sent: bool = False
    has_other_way: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """A message that the transaction has locked, with the attempt that began under its present lease, if one did."""

    message: Message
    attempt_id: str | None
    number: int | None
