"""How an attempt ended. A transport returns one of these and never raises for a failed send."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Sent:
    """The other side took the message; `code` and `text` are its own words, kept as evidence."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Temporary:
    """Not sent, worth another try (RFC 5321 4xx, HTTP 429/5xx, no connection); `retry_after` if the other side named it.

    `is_hopeless_here`: somebody has to mend this transport first, so the recipient's next one is taken at once, if there is one.
    """

    code: str
    text: str
    retry_after: timedelta | None = None
    is_hopeless_here: bool = False


@dataclass(frozen=True, slots=True)
class Permanent:
    """Not sent and never will be by this transport (RFC 5321 5xx, HTTP 4xx, refused address)."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The line died after the point of no return: it may have been sent. ToolRequest openly, sent again with the same id.

    `is_hopeless_here`: never again by this transport, which would not know the second copy; only by the recipient's next one.
    """

    code: str
    text: str
    is_hopeless_here: bool = False


Outcome = Sent | Temporary | Permanent | Unknown


def name_of(outcome: Outcome) -> str:
    """Give the word under which the outcome is stored and shown: sent, temporary, permanent or unknown."""
    return type(outcome).__name__.lower()
