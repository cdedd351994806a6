"""A lease: a claim on a message that ends by itself; and the attempt that is made under it. Pure."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.message import Message, Parcel


@dataclass(frozen=True, slots=True)
class Claim:
    """Names one claim. The token is made anew at each lease, so a holder that lost its lease is known by it."""

    message_id: str
    token: str


@dataclass(frozen=True, slots=True)
class Leased:
    """A message as its holder gets it: what to send, until when it is the holder's, and how often it was tried before."""

    claim: Claim
    transport: str
    parcel: Parcel
    until: datetime
    attempts: int
    created_at: datetime
    is_alert: bool = False
    maybe_sent: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """A message locked within the unit of work, with the attempt that was begun under its present lease, if one was."""

    message: Message
    attempt_id: str | None
    number: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at sending. Written before it starts; `outcome` is None while it is under way."""

    id: str
    message_id: str
    number: int
    holder: str
    token: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None  # sent | temporary | permanent | unknown
    code: str | None = None
    text: str | None = None
