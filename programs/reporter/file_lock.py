"""Lock a file as long as its holder lives: the system releases it when the last process that holds it has ended, in any way."""

from __future__ import annotations

import contextlib
import os
import sys
import time

_FAR = 2**30  # Windows locks bytes, which then cannot be read: one far behind the end disturbs no reader
_POLL_S = 0.05


def try_lock(fd: int) -> bool:
    """Lock the file unless another process has locked it. Return whether it is locked."""
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
    """Lock the file, waiting until `deadline` (of the monotonic clock) at most. Return whether it is locked."""
    while not try_lock(fd):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def unlock(fd: int) -> None:
    """Release the lock, and close the file."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415  (Windows only)

        with contextlib.suppress(OSError):
            os.lseek(fd, _FAR, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)
    os.close(fd)
