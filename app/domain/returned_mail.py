"""A mail that came to one of our own addresses: a bounce, a delay, another notice, or a canary. Pure."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.own_address import AddressKind

RAW_MOST = 256 * 1024  # bytes kept of one mail: a report and its headers are a few KiB
KEPT_FOR = timedelta(days=60)


class Via(StrEnum):
    """How it came: by our mail listener, or read from a mailbox."""

    SMTP = "smtp"
    IMAP = "imap"


@dataclass(frozen=True, slots=True)
class ReturnedMail:
    """A mail as it came. `about_id` is the message or the canary that it is about; `sender` that of the envelope."""

    id: str
    received_at: datetime
    via: Via
    kind: AddressKind
    about_id: str
    sender: str
    raw: bytes

    @property
    def sha256(self) -> str:
        """What makes it the same mail: one that comes by both ways, or twice by one, is stored once."""
        return hashlib.sha256(self.about_id.encode() + b"\x00" + self.raw).hexdigest()


class ReturnKind(StrEnum):
    """What a mail about a mail says. Only `bounced` means that it was not delivered."""

    BOUNCED = "bounced"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    AUTO_REPLY = "auto_reply"
    OTHER = "other"  # it says none of these, or cannot be understood


@dataclass(frozen=True, slots=True)
class ReadMail:
    """What came back about a message, as administrators see it. `result` is None until it was read."""

    received_at: datetime
    via: Via
    sender: str
    result: ReturnKind | None
    words: str | None


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What a mail about a mail says: of which recipient, with which status (RFC 3463, such as 5.1.1), and in which words.

    `is_permanent`: no mail to this recipient will arrive until somebody changes the address or the mailbox.
    """

    kind: ReturnKind
    words: str
    recipient: str | None = None
    status: str | None = None
    is_permanent: bool = False


# No such mailbox or domain: RFC 3463 (X.1.x, X.2.1, X.4.4), and the codes of Exchange Online for an unknown recipient or domain.
_NOBODY_THERE = re.compile(r"5\.(?:1\.(?:1|2|3|6|10)|2\.1|4\.4|4\.1|4\.310)")
_WHO = r"(?:user|recipient|mailbox|account|address|addressee)"
_NOBODY_THERE_WORDS = re.compile(
    rf"(?:unknown|no such|invalid|bad|non-?existent|unrouteable|disabled|inactive) (?:local |virtual |destination )?{_WHO}"
    rf"|{_WHO}[^.\n]{{0,60}}(?:unknown|not found|(?:does not|doesn't|doesn`t) (?:exist|have)|no longer|not exist|is disabled|is inactive)"
    r"|couldn't find any host|domain (?:name )?not found|host (?:or domain name )?not found",
    re.IGNORECASE,
)
_SAYS_NOTHING = re.compile(r"5\.0\.0|5\.1\.0|5\.3\.0")  # "other or undefined": the words decide


def is_permanent_failure(status: str | None, words: str) -> bool:
    """Say whether a bounce with this status and these words means that there is no such mailbox, and not that it was full or refused the mail."""
    if status is None or _SAYS_NOTHING.fullmatch(status):
        return _NOBODY_THERE_WORDS.search(words) is not None
    return _NOBODY_THERE.fullmatch(status) is not None
