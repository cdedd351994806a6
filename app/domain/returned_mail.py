"""A mail that came to one of our own addresses: a bounce, a delay, another notice, or a canary. Pure."""

import hashlib
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
