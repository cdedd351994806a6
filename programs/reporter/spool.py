"""What was not told yet, on the disk before anything is sent: one file an event, whose name is its place in line. Bounded; it knows no HTTP.

waiting/   to be sent, the oldest first; the letter in a name says what may go when there is no room: p(rogress), then s(uccess), never f(ailure)
running/   runs under way (records.py)
refused/   what the service did not take, each with its reason; the newest hundred
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from programs.protocol.report import CANCELLED, SUCCESS, line_of
from programs.reporter.file_lock import lock_until, unlock

FILES_MOST, BYTES_MOST = 10_000, 64 * 1024 * 1024
REFUSED_MOST = 100
_LEFT_S = 3600.0  # nobody writes one event for so long
_DROPPED_FIRST = ("p", "s")


@dataclass(frozen=True)
class WaitingEvent:
    """An event that waits: its file, what it may be dropped for, and its size."""

    path: Path
    letter: str
    size: int


class ReporterSpool:
    """The folder. Raises OSError where it cannot be made or written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.waiting, self.running, self.refused = (folder / name for name in ("waiting", "running", "refused"))
        for one in (folder, self.waiting, self.running, self.refused):
            one.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, event: Mapping[str, Any]) -> None:
        """Keep an event: it is on the disk when this returns."""
        event = self.fitting(event)
        path = self.place_for(event)
        fresh = path.with_suffix(".new")
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(line_of(event))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise
        sync_folder(self.waiting)

    def list(self) -> Sequence[WaitingEvent]:
        """Give what waits, the oldest first."""
        found = []
        for entry in os.scandir(self.waiting):
            parts = entry.name.split("-")
            if entry.name.endswith(".json") and len(parts) == 3:  # noqa: PLR2004  (place, letter, chance)
                with contextlib.suppress(FileNotFoundError):
                    found.append(WaitingEvent(Path(entry.path), parts[1], entry.stat().st_size))
        return sorted(found, key=lambda one: one.path.name)

    def event_in(self, one: WaitingEvent) -> dict[str, Any] | None:
        """Read an event; None if it is there no more, or cannot be read: then it is put aside."""
        try:
            event = last_event(one.path.read_bytes())
        except FileNotFoundError:
            return None
        if event is None:
            self.refuse(one, "this file cannot be read")
        return event

    def done(self, one: WaitingEvent) -> None:
        """Forget what was delivered."""
        with contextlib.suppress(FileNotFoundError):
            one.path.unlink()

    def refuse(self, one: WaitingEvent, why: str) -> None:
        """Put aside what the service does not take, so that it does not keep the others from being sent."""
        place = self.refused / one.path.name
        try:
            one.path.replace(place)  # first: a reason without its event would be there for ever
        except FileNotFoundError:  # dropped meanwhile, to make room
            return
        with contextlib.suppress(OSError):
            place.with_suffix(".why").write_text(why + "\n", encoding="utf-8")
        for old in sorted(self.refused.glob("*.json"))[:-REFUSED_MOST]:
            for path in (old.with_suffix(".why"), old):
                with contextlib.suppress(OSError):
                    path.unlink()

    @contextlib.contextmanager
    def delivering(self, deadline: float) -> Iterator[bool]:
        """Be the only one who sends; gives false if another is at it until `deadline`."""
        fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        is_ours = False
        try:
            is_ours = lock_until(fd, deadline)
            if is_ours:
                self._take_up()
            yield is_ours
        finally:
            if is_ours:
                unlock(fd)
            else:
                os.close(fd)

    def _take_up(self) -> None:
        """Let wait what somebody had written when he was killed, if it is whole; else it would lie there for ever, counted by nobody."""
        for fresh in self.waiting.glob("*.new"):
            with contextlib.suppress(OSError):
                if abs(time.time() - fresh.stat().st_mtime) < _LEFT_S:  # from later than now: the clock was set back
                    continue
                if last_event(fresh.read_bytes()) is None:
                    fresh.unlink()
                else:
                    fresh.replace(fresh.with_suffix(".json"))

    def fitting(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make room for an event, and give it; without its log where only failures are left, which are never dropped."""
        waiting = list(self.list())
        size = sum(one.size for one in waiting)
        for letter in _DROPPED_FIRST:
            for one in [one for one in waiting if one.letter == letter]:
                if len(waiting) < FILES_MOST and size < BYTES_MOST:
                    return event
                self.done(one)
                waiting.remove(one)
                size -= one.size
        is_full = len(waiting) >= FILES_MOST or size >= BYTES_MOST
        return {name: value for name, value in event.items() if name != "log"} if is_full else event

    def place_for(self, event: Mapping[str, Any]) -> Path:
        """Give the path of an event: behind all that wait, also when the clock was set back."""
        newest = max((one.name for one in os.scandir(self.waiting)), default="")[:20]
        place = max(time.time_ns(), int(newest) + 1 if newest.isdigit() else 0)
        outcome = event.get("outcome")
        is_plain = outcome is None and event.get("severity", "info") == "info"
        letter = "p" if is_plain else "s" if outcome in (SUCCESS, CANCELLED) else "f"
        return self.waiting / f"{place:020d}-{letter}-{uuid.uuid4().hex[:12]}.json"


def last_event(data: bytes) -> dict[str, Any] | None:
    """Give the last event that stands whole in a file; None if there is none."""
    whole, _, _ = data.rpartition(b"\n")
    for line in reversed(whole.split(b"\n")):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and "key" in event:
            return event
    return None


def sync_folder(folder: Path) -> None:
    """Have the disk know the names in a folder; Windows has no such call, and needs none."""
    if sys.platform == "win32":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
