"""The record of a run under way, on the disk before its command starts: whoever comes next tells of a run that was cut off.

A file in running/, locked as long as the run's reporter lives: one line with the event that is to be told if nothing else is known, and
room. The outcome is written into that room, which is there also when the backup has filled the disk, and the file is moved into
waiting/: one step, so that a kill at any moment leaves either the one or the other, never both.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
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
    """One run's. Its lock is shared with the processes that were forked from the one that opened it."""

    def __init__(self, spool: ReporterSpool, path: Path, fd: int, event_if_cut_off: Mapping[str, Any]) -> None:
        self._spool, self._path, self._fd = spool, path, fd
        self.event_if_cut_off = event_if_cut_off
        self._start = len(line_of(event_if_cut_off))

    @classmethod
    def write(cls, spool: ReporterSpool, run: str, event_if_cut_off: Mapping[str, Any]) -> RunRecord:
        """Write it; `sync` brings it to the disk, for that may take its time."""
        path = spool.running / f"{run}.json"
        fd = _open(path)
        try:
            _lock(fd)  # before a word is in it: nobody takes over an empty file
            while not _is_at(path, fd):  # taken away meanwhile, as one whose reporter was killed before it wrote a word
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
        """Bring it to the disk."""
        os.fsync(self._fd)
        sync_folder(self._spool.running)

    def settle(self, event: Mapping[str, Any]) -> None:
        """Write how the run ended and let it wait to be sent. Raises OSError where it can be neither."""
        event = self._spool.fitting(event)
        try:
            self._fill(line_of(event))
        except OSError:  # no room for all of it: the outcome goes into the room that was kept
            short = {name: value for name, value in event.items() if name not in ("log", "extra")}
            self._fill(line_of({**short, "message": str(event.get("message", ""))[:_MESSAGE_MOST]}))
        self._move(event)

    def rescue(self, event: Mapping[str, Any] | None = None) -> None:
        """Let it wait to be sent: as it ended, if that was written, else as `event`, or as one that was cut off."""
        os.lseek(self._fd, 0, os.SEEK_SET)
        known = last_event(_read(self._fd)[self._start :])
        if not self._path.exists():
            self.close()  # its reporter moved it
        elif known is None:
            self.settle(event or self.event_if_cut_off)
        else:
            self._move(known)

    def give_up(self) -> None:
        """Forget it: what it was for has been told."""
        self.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def close(self) -> None:
        """Let go of it; the file stays."""
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
        self.close()  # Windows moves no file that is open
        with contextlib.suppress(FileNotFoundError):  # then another took it over in this very moment
            _patiently(lambda: self._path.replace(place))
        sync_folder(self._spool.waiting)


def cut_off(spool: ReporterSpool) -> Iterator[RunRecord]:
    """Give the records whose reporters live no more, locked; take away those that were cut off before a word was in them."""
    for path in sorted(spool.running.glob("*.json")):
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
            is_ours = try_lock(fd)
            os.lseek(fd, 0, os.SEEK_SET)
            line = _read(fd).partition(b"\n")[0]
            event = last_event(line + b"\n")
            if is_ours and event is not None and path.exists():
                yield RunRecord(spool, path, fd, event)
            elif is_ours:
                _take_away(path, fd)
            else:
                os.close(fd)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)


def _is_at(path: Path, fd: int) -> bool:
    """Say whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _take_away(path: Path, fd: int) -> None:
    """Remove a locked file: also one that begins in this very moment, whose reporter sees it gone once it has the lock."""
    if sys.platform == "win32":
        unlock(fd)  # Windows removes no file that is open, so not that of one who begins either
        path.unlink()
        return
    try:
        if _is_at(path, fd):
            path.unlink()
    finally:
        unlock(fd)


def _patiently(move: Callable[[], object]) -> None:
    """Move a file, on Windows also one that another looks at in this moment."""
    end = time.monotonic() + (_MOVE_S if sys.platform == "win32" else 0)
    while True:
        try:
            move()
        except PermissionError:  # noqa: PERF203  (as often as it takes)
            if time.monotonic() >= end:
                raise
            time.sleep(_TURN_S)
        else:
            return


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
