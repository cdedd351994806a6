"""An attempt to send a message, and how it ended. Pure.

A transport returns one of the four outcomes and never raises for a failed send. `evidence` holds what proves or explains it as
values of JSON, apart from the words for people in `text`; it never holds a secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

Evidence = Mapping[str, object]
TEMPLATE_FAILED = "the template failed, so the standard document was sent"  # with it begins the text of such an attempt


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to send. It is stored before it starts; `outcome` is None while it is under way."""

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
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """The other side accepted the message; `code` and `text` are its own words, kept as evidence."""

    code: str
    text: str
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Temporary:
    """Not sent, and worth another attempt (RFC 5321 4xx, HTTP 429/5xx, no connection); `retry_after` if the other side named it.

    `is_hopeless_here`: somebody must repair this transport first, so the recipient's next one is used at once, if there is one.
    """

    code: str
    text: str
    retry_after: timedelta | None = None
    is_hopeless_here: bool = False
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Permanent:
    """Not sent, and never will be by this transport (RFC 5321 5xx, HTTP 4xx, refused address)."""

    code: str
    text: str
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The connection died after the point of no return: the message may have been sent. It is sent again with the same Message-ID.

    `is_hopeless_here`: never again by this transport, which would not recognise the second copy; only by the recipient's next one.
    """

    code: str
    text: str
    is_hopeless_here: bool = False
    evidence: Evidence | None = None


Outcome = Sent | Temporary | Permanent | Unknown


def outcome_name(outcome: Outcome) -> str:
    """Return the word that is stored and shown: sent, temporary, permanent or unknown."""
    return type(outcome).__name__.lower()
