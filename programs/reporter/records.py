"""The record of a running command, on the disk before it starts: the next reporter reports a run that was cut off.

A file in running/ that is locked as long as the run's reporter lives. It holds one line, the event to report if the outcome is never
known, and reserved space. The outcome is written into that space, which exists even when the backup has filled the disk. Then the file
is moved into waiting/ in one step, so a kill at any moment leaves it either in running/ or in waiting/, never in both.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from programs.protocol.report import line_of
from programs.reporter.file_lock import lock_until, try_lock, unlock
from programs.reporter.spool import ReporterSpool, last_event, sync_folder

_ROOM = 8 * 1024
_MESSAGE_MOST = 1000
_LOCK_S = 1.0
_MOVE_S, _TURN_S = 2.0, 0.05


class RunRecord:
    """The record of one run. Its lock is shared with the processes that were forked from the one that opened it."""

    def __init__(self, spool: ReporterSpool, path: Path, fd: int, event_if_cut_off: Mapping[str, Any]) -> None:
        self._spool, self._path, self._fd = spool, path, fd
        self.event_if_cut_off = event_if_cut_off
        self._start = len(line_of(event_if_cut_off))

    @classmethod
    def write(cls, spool: ReporterSpool, run: str, event_if_cut_off: Mapping[str, Any]) -> RunRecord:
        """Write the record. It is certain to be on the disk only after `sync`, which may take a while."""
        path = spool.running / f"{run}.json"
        fd = _open(path)
        try:
            _lock(fd)  # before anything is in it: an empty file is not taken over
            while not _is_at(
                path, fd
            ):  # deleted meanwhile, as if its reporter had been killed before it wrote anything
                os.close(fd)
                fd = _open(path)
                _lock(fd)
            os.lseek(fd, 0, os.SEEK_SET)
            _write(fd, line_of(event_if_cut_off) + b" " * _ROOM)
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        return cls(spool, path, fd, event_if_cut_off)

    def sync(self) -> None:
        """Force the record and its folder entry onto the disk."""
        os.fsync(self._fd)
        sync_folder(self._spool.running)

    def settle(self, event: Mapping[str, Any]) -> None:
        """Write how the run ended and move it to the waiting events. Raises OSError if neither is possible."""
        event = self._spool.fitting(event)
        try:
            self._fill(line_of(event))
        except OSError:  # no room for all of it: the outcome goes into the reserved room
            short = {name: value for name, value in event.items() if name not in ("log", "extra")}
            self._fill(line_of({**short, "message": str(event.get("message", ""))[:_MESSAGE_MOST]}))
        self._move(event)

    def rescue(self, event: Mapping[str, Any] | None = None) -> None:
        """Move it to the waiting events: with the outcome in it, else as `event`, or as a run that was cut off."""
        os.lseek(self._fd, 0, os.SEEK_SET)
        known = last_event(_read(self._fd)[self._start :])
        if not self._path.exists():
            self.close()  # its reporter has moved it
        elif known is None:
            self.settle(event or self.event_if_cut_off)
        else:
            self._move(known)

    def discard(self) -> None:
        """Delete it: its event has been sent."""
        self.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def close(self) -> None:
        """Release it; the file stays."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            unlock(fd)

    def _fill(self, line: bytes) -> None:
        os.lseek(self._fd, self._start, os.SEEK_SET)
        _write(self._fd, line)
        os.ftruncate(self._fd, self._start + len(line))
        os.fsync(self._fd)

    def _move(self, event: Mapping[str, Any]) -> None:
        place = self._spool.place_for(event)
        self.close()  # Windows does not move an open file
        end = time.monotonic() + (_MOVE_S if sys.platform == "win32" else 0)
        is_moved = False
        with contextlib.suppress(FileNotFoundError):  # then another process took it over at this moment
            while not is_moved:
                try:
                    self._path.replace(place)
                    is_moved = True
                except PermissionError:  # noqa: PERF203  (on Windows, as long as another process has it open)
                    if time.monotonic() >= end:
                        raise
                    time.sleep(_TURN_S)
        sync_folder(self._spool.waiting)


def cut_off(spool: ReporterSpool) -> Iterator[RunRecord]:
    """Lock and yield each record whose reporter has died. Delete a record whose reporter died before it wrote anything."""
    for path in sorted(spool.running.glob("*.json")):
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
            is_ours = try_lock(fd)
            os.lseek(fd, 0, os.SEEK_SET)
            line = _read(fd).partition(b"\n")[0]
            event = last_event(line + b"\n")
            if is_ours and event is not None and path.exists():
                yield RunRecord(spool, path, fd, event)
            elif is_ours and sys.platform == "win32":
                unlock(fd)  # Windows does not remove an open file, so the file of a run that begins is safe, too
                path.unlink()
            elif is_ours:
                try:
                    # It may be of a run that begins at this moment: that one sees it gone once it has the lock.
                    if _is_at(path, fd):
                        path.unlink()
                finally:
                    unlock(fd)
            else:
                os.close(fd)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)


def _is_at(path: Path, fd: int) -> bool:
    """Return whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _lock(fd: int) -> None:
    if not lock_until(fd, time.monotonic() + _LOCK_S):
        raise OSError(errno.ENOLCK, "cannot be locked")


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _read(fd: int) -> bytes:
    pieces = []
    while piece := os.read(fd, 65536):
        pieces.append(piece)
    return b"".join(pieces)
