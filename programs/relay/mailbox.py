"""What sending needs of a mailbox. It knows no MAPI; the mailbox over MAPI is programs/relay/extended_mapi.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from programs.relay.mime_message import MimeMessage


@dataclass(frozen=True)
class Draft:
    """A message that is saved and not submitted. Its keys find it again after a crash. `characters_lost`: those that the store did not keep."""

    entryid: bytes
    search_key: bytes
    characters_lost: int = 0


@dataclass(frozen=True)
class MessagePlace:
    """Where a message is. `submitted` has a meaning only in the Outbox."""

    folder: str  # "outbox" or "sent"
    entryid: bytes
    submitted: bool = True


ReportFindings = Callable[[Mapping[str, Any]], None]  # takes findings as soon as they are known


class Mailbox(Protocol):
    """The mailbox of one profile. Each method raises MapiError with MAPI's answer."""

    def open(self) -> None:
        """Log on without any dialog and open the default store."""
        ...

    def create(self, message: MimeMessage) -> Draft:
        """Save the message in the Outbox without submitting it."""
        ...

    def submit(self, draft: Draft) -> Mapping[str, Any]:
        """Submit it. Return evidence of how."""
        ...

    def is_tight(self) -> bool:
        """Return whether a message that left the Outbox was taken by the store's own transport, and not by the MAPI spooler."""
        ...

    def find(self, search_key: bytes, folders: Sequence[str] = ("outbox", "sent")) -> MessagePlace | None:
        """Look for a message by its search key."""
        ...

    def abort(self, entryid: bytes) -> None:
        """Take a submitted message back. Raises MapiError if that is not possible."""
        ...

    def delete(self, entryid: bytes) -> None:
        """Remove a message that is not submitted from the Outbox."""
        ...

    def findings(self, report: ReportFindings) -> None:
        """Report the profile's properties that the doctor needs, one by one, and the logon last, because it may hang."""
        ...

    def close(self) -> None:
        """Log off; it never fails."""
        ...
