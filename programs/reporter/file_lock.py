"""Locks a file for as long as its holder lives: the system lets go of it when the last process that holds it has ended, however it ended."""

from __future__ import annotations

import contextlib
import os
import sys
import time

_FAR = 2**30  # Windows locks bytes and keeps them from being read: one far behind the end harms nobody
_POLL_S = 0.05


def try_lock(fd: int) -> bool:
    """Lock it if nobody else does."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415  (Windows only)

            os.lseek(fd, _FAR, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415  (not on Windows)

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def lock_until(fd: int, deadline: float) -> bool:
    """Lock it, waiting until `deadline` (of the monotonic clock) at most."""
    while not try_lock(fd):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def unlock(fd: int) -> None:
    """Let go of it, and close it."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415  (Windows only)

        with contextlib.suppress(OSError):
            os.lseek(fd, _FAR, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)
    os.close(fd)
