"""Puts the temporary files of a test run into memory, where there is room: databases on a disk spend most of a test waiting for it.

No test checks less because of this: the tests kill processes, and files in memory outlive a process as files on a disk do.
"""

import os
import shutil
import tempfile
from pathlib import Path

import psutil

MEMORY = Path("/dev/shm")
NAME = "tocsin-tests-"
ROOM = 2 * 1024**3  # bytes; a whole run with two workers has used less than a quarter of it


def enter() -> Path | None:
    """Make a folder in memory and have this process and its children put temporary files there. None where that is not possible."""
    if "TMPDIR" in os.environ or not _is_fit():
        return None
    _remove_left_behind()
    folder = MEMORY / f"{NAME}{os.getpid()}"
    folder.mkdir(mode=0o755)  # PostgreSQL runs as another user where the tests run as root
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None  # it is looked up again
    return folder


def leave(folder: Path, *, keep: bool) -> None:
    """Remove the folder, or keep it so that a failure can be examined; the next run removes it."""
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)


def _is_fit() -> bool:
    if not os.access(MEMORY, os.W_OK):
        return False
    system = os.statvfs(MEMORY)
    # Containers often have it small, and without the right to run programs there, which tests write.
    return not system.f_flag & os.ST_NOEXEC and system.f_bavail * system.f_frsize >= ROOM


def _remove_left_behind() -> None:
    for folder in MEMORY.glob(f"{NAME}*"):
        if not psutil.pid_exists(int(folder.name.removeprefix(NAME))):
            shutil.rmtree(folder, ignore_errors=True)
