"""Unsent events, on the disk before anything is sent: one file per event, in the order of their names. Bounded; it knows no HTTP.

waiting/   to be sent, the oldest first; the letter in a name says what is dropped when there is no room: first p (progress), then
           s (success), never f (failure)
running/   running commands (records.py)
refused/   what the service refused, each with its reason; the newest hundred
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from programs.protocol.report import CANCELLED, SUCCESS, line_of
from programs.reporter.file_lock import lock_until, unlock

FILES_MOST, BYTES_MOST = 10_000, 64 * 1024 * 1024
REFUSED_MOST = 100
_LEFT_S = 3600.0  # longer than writing one event ever takes
_PROGRESS, _SUCCESS, FAILURE = "p", "s", "f"
_DROPPED_FIRST = (_PROGRESS, _SUCCESS)


class WaitingEvent(NamedTuple):
    """A waiting event: its file, the letter that says when it may be dropped, and its size."""

    path: Path
    letter: str
    size: int


class ReporterSpool:
    """The folder. Raises OSError if it cannot be created or written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.waiting, self.running, self.refused = (folder / name for name in ("waiting", "running", "refused"))
        for file in (folder, self.waiting, self.running, self.refused):
            file.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, event: Mapping[str, Any]) -> None:
        """Store an event: it is on the disk when this returns."""
        event = self.fitting(event)
        path = self.place_for(event)
        new_file = path.with_suffix(".new")
        try:
            with os.fdopen(os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(line_of(event))
                file.flush()
                os.fsync(file.fileno())
            new_file.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                new_file.unlink()
            raise
        sync_folder(self.waiting)

    def list(self) -> Sequence[WaitingEvent]:
        """Return the waiting events, the oldest first."""
        found = []
        for entry in os.scandir(self.waiting):
            parts = entry.name.split("-")
            if entry.name.endswith(".json") and len(parts) == 3:  # noqa: PLR2004  (place, letter, chance)
                with contextlib.suppress(FileNotFoundError):
                    found.append(WaitingEvent(Path(entry.path), parts[1], entry.stat().st_size))
        return sorted(found, key=lambda file: file.path.name)

    def event_in(self, file: WaitingEvent) -> dict[str, Any] | None:
        """Read an event. Return None if it no longer exists, or cannot be read: then it is put aside."""
        try:
            event = last_event(file.path.read_bytes())
        except FileNotFoundError:
            return None
        if event is None:
            self.refuse(file, "this file cannot be read")
        return event

    def done(self, file: WaitingEvent) -> None:
        """Delete an event that was delivered."""
        with contextlib.suppress(FileNotFoundError):
            file.path.unlink()

    def refuse(self, file: WaitingEvent, why: str) -> None:
        """Put aside an event that the service refuses, so that the others can be sent."""
        place = self.refused / file.path.name
        try:
            file.path.replace(place)  # first: a reason without its event would stay forever
        except FileNotFoundError:  # dropped meanwhile to make room
            return
        with contextlib.suppress(OSError):
            place.with_suffix(".why").write_text(why + "\n", encoding="utf-8")
        for old in sorted(self.refused.glob("*.json"))[:-REFUSED_MOST]:
            for path in (old.with_suffix(".why"), old):
                with contextlib.suppress(OSError):
                    path.unlink()

    @contextlib.contextmanager
    def delivering(self, deadline: float) -> Iterator[bool]:
        """Be the only process that sends. Yields false if another one is sending until `deadline`."""
        fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        is_ours = False
        try:
            is_ours = lock_until(fd, deadline)
            if is_ours:
                # Queue an event whose writer was killed, if it is whole: else it would stay forever, counted by nobody.
                for new_file in self.waiting.glob("*.new"):
                    with contextlib.suppress(OSError):
                        # A time in the future means that the clock was set back.
                        if abs(time.time() - new_file.stat().st_mtime) < _LEFT_S:
                            continue
                        if last_event(new_file.read_bytes()) is None:
                            new_file.unlink()
                        else:
                            new_file.replace(new_file.with_suffix(".json"))
            yield is_ours
        finally:
            if is_ours:
                unlock(fd)
            else:
                os.close(fd)

    def fitting(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make room for an event, and return it; without its log if only failures are left, which are never dropped."""
        waiting = list(self.list())
        size = sum(file.size for file in waiting)
        for letter in _DROPPED_FIRST:
            for file in [file for file in waiting if file.letter == letter]:
                if len(waiting) < FILES_MOST and size < BYTES_MOST:
                    return event
                self.done(file)
                waiting.remove(file)
                size -= file.size
        is_full = len(waiting) >= FILES_MOST or size >= BYTES_MOST
        return {name: value for name, value in event.items() if name != "log"} if is_full else event

    def place_for(self, event: Mapping[str, Any]) -> Path:
        """Return the path of an event: behind all that wait, even if the clock was set back."""
        newest = max((file.name for file in os.scandir(self.waiting)), default="")[:20]
        place = max(time.time_ns(), int(newest) + 1 if newest.isdecimal() else 0)
        outcome = event.get("outcome")
        is_plain = outcome is None and event.get("severity", "info") == "info"
        letter = _PROGRESS if is_plain else _SUCCESS if outcome in (SUCCESS, CANCELLED) else FAILURE
        return self.waiting / f"{place:020d}-{letter}-{os.urandom(6).hex()}.json"


def last_event(data: bytes) -> dict[str, Any] | None:
    """Return the last complete event in a file; None if there is none."""
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
    """Bring the names in a folder to the disk; Windows has no such call, and needs none."""
    if sys.platform == "win32":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
