"""The table of guests in Proxmox VE's report of a backup, as it is since 8.1 and as it was in the mails before."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from app.intake.dialects.amounts import bytes_in, seconds_in

_HEAD = re.compile(r"^ {0,8}VMID +NAME +STATUS +TIME +SIZE +FILENAME\b[^\n]{0,300}$", re.MULTILINE | re.IGNORECASE)
_ROWS_MOST, _LINE_MOST, _DIGITS_MOST = 5000, 2000, 10
_COLUMNS = re.compile(r"(?: {2,}|\t+)")
_STATUSES = frozenset({"ok", "err", "error", "failed", "todo", "aborted"})
# Before 8.1: one space may divide number and name, and a failure has its reason instead of size and file.
_OLD = re.compile(r"(\d{1,10}) +(\S{1,200}) +(OK|FAILED) +(\d\d:\d\d:\d\d) +(\S.*)$")


@dataclass(frozen=True, slots=True)
class Guest:
    """One row."""

    vmid: str
    name: str
    status: str
    duration_s: float | None
    size: float | None
    reason: str | None = None

    @property
    def outcome(self) -> str:
        """Give our word for its status. What we do not know was not saved, nor was what is still to do."""
        return "success" if self.status.lower() == "ok" else "failure"


def guests_in(text: str) -> Sequence[Guest]:
    """Give the guests, each once; of two rows with the same number the worse."""
    head = _HEAD.search(text)
    if head is None:
        return []
    lines = text[head.end() + 1 : head.end() + 1 + _ROWS_MOST * 200].split("\n")
    rows = (line[:_LINE_MOST].strip() for line in islice(lines, _ROWS_MOST))
    found: dict[str, Guest] = {}
    for row in takewhile(lambda row: row[:1].isdecimal(), rows):
        guest = _guest(row)
        if guest is not None and (guest.vmid not in found or guest.outcome != "success"):
            found[guest.vmid] = guest
    return list(found.values())


def _guest(row: str) -> Guest | None:
    """Read a row. What a guest or a file is called may look like anything, so the status is the one before a time."""
    old = _OLD.match(row)
    if old is not None:
        is_good = old[3] == "OK"
        size = bytes_in(old[5]) if is_good else None
        return Guest(old[1], old[2], old[3].lower(), seconds_in(old[4]), size, None if is_good else old[5])
    cells = _COLUMNS.split(row)
    if not cells[0].isdecimal() or len(cells[0]) > _DIGITS_MOST:
        return None
    for place in range(1 if len(cells) == 5 else 2, len(cells) - 1):  # noqa: PLR2004  (a nameless guest)
        duration = seconds_in(cells[place + 1])
        if cells[place].lower() in _STATUSES and duration is not None:
            name = " ".join(cells[1:place]) or f"VM {cells[0]}"
            size = bytes_in(cells[place + 2]) if cells[place + 2 :] else None
            return Guest(cells[0], name, cells[place], duration, size)
    return Guest(cells[0], cells[1], cells[2], None, None) if cells[2:] else None
