"""The disk under a folder: how much room it has, whether a file can be written and why not, and room that is kept for alerts."""

import contextlib
import errno
import os
import re
import resource
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_GIB = 1024**3
_UNITS = {"KIB": 1024, "MIB": 1024**2, "GIB": _GIB, "TIB": 1024**4}
_LIMIT = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) ?(%|[KMGT]iB)", re.IGNORECASE)
_PAGE = b"\0" * 4096
_FEW_FILES = 1000
_RESERVE_MOST_PART = 20  # of a small disk, the reserve takes a twentieth


class DiskTrouble(StrEnum):
    """Why nothing can be written. The values are codes of answers, metrics and log lines."""

    FULL = "disk_full"
    QUOTA = "disk_quota_reached"
    FILE_SIZE = "file_size_limit"
    READ_ONLY = "database_read_only"
    DENIED = "permission_denied"
    BROKEN = "disk_error"

    @property
    def what(self) -> str:
        """What is wrong, in words."""
        return _WHAT[self]

    @property
    def mend(self) -> str:
        """What an administrator does about it."""
        return _REMEDIES[self]


_WHAT = {
    DiskTrouble.FULL: "the disk is full",
    DiskTrouble.QUOTA: "the disk quota is used up",
    DiskTrouble.FILE_SIZE: "files have reached the largest size that is allowed",
    DiskTrouble.READ_ONLY: "it is read-only",
    DiskTrouble.DENIED: "permission is denied",
    DiskTrouble.BROKEN: "the disk reports errors",
}
_REMEDIES = {
    DiskTrouble.FULL: "free some space on it",
    DiskTrouble.QUOTA: "free some space, or raise the quota of the user that Tocsin runs as",
    DiskTrouble.FILE_SIZE: "raise the limit (`ulimit -f`, or LimitFSIZE of systemd)",
    DiskTrouble.READ_ONLY: "make it writable again; the log of the system or of PostgreSQL has the reason",
    DiskTrouble.DENIED: "let the user that Tocsin runs as write there",
    DiskTrouble.BROKEN: "check the disk; the system's log has the reason",
}
_BY_ERRNO = {
    errno.ENOSPC: DiskTrouble.FULL,
    errno.EDQUOT: DiskTrouble.QUOTA,
    errno.EFBIG: DiskTrouble.FILE_SIZE,
    errno.EROFS: DiskTrouble.READ_ONLY,
    errno.EACCES: DiskTrouble.DENIED,
    errno.EPERM: DiskTrouble.DENIED,
    errno.EIO: DiskTrouble.BROKEN,
}


def trouble_of(error: OSError) -> DiskTrouble | None:
    """Return what an error of the system says about a disk; None if it says something else."""
    return _BY_ERRNO.get(error.errno or 0)


def try_to_write(folder: Path) -> OSError | None:
    """Write a small file into a folder, force it onto the disk and remove it; return the error if that is not possible.

    May block as long as the disk does: call it in a thread.
    """
    try:
        file, name = tempfile.mkstemp(prefix=".trial-", dir=folder)
        try:
            Path(name).unlink()  # at once, so that a kill leaves nothing
            os.write(file, _PAGE)
            os.fsync(file)  # some file systems find out only now that there is no room
        finally:
            os.close(file)
    except OSError as error:
        return error
    return None


def diagnose(folder: Path, largest: Path | None = None) -> DiskTrouble | None:
    """Find out what keeps files in a folder from being written; None: nothing does. `largest`: a file that must be able to grow."""
    error = try_to_write(folder)
    if error is not None:
        return trouble_of(error) or DiskTrouble.BROKEN
    most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if largest is None or most == resource.RLIM_INFINITY:
        return None
    with contextlib.suppress(OSError):
        sizes = [one.stat().st_size for one in largest.parent.glob(f"{largest.name}*")]
        if max(sizes, default=0) + len(_PAGE) > most:
            return DiskTrouble.FILE_SIZE
    return None


@dataclass(frozen=True, slots=True)
class Space:
    """The room on a disk for a user who is not root: free and total bytes, and how many files can still be made (None: not limited)."""

    free: int
    total: int
    files: int | None = None

    @classmethod
    def of(cls, folder: Path) -> "Space":
        """Ask the system. Raises OSError."""
        found = os.statvfs(folder)
        return cls(
            found.f_bavail * found.f_frsize,
            found.f_blocks * found.f_frsize,
            found.f_favail if found.f_files else None,
        )

    @property
    def has_few_files(self) -> bool:
        """Whether hardly a file can be made any more, so that the disk is full soon although bytes are free."""
        return self.files is not None and self.files < _FEW_FILES


def read_limit(text: str) -> str:
    """Return the text of a limit of free space if it is one, such as `5%` or `2GiB`. Raises ValueError."""
    found = _LIMIT.fullmatch(text.strip())
    if found is None or (found[2] == "%" and float(found[1]) > 90):  # noqa: PLR2004  (more would always be an alert)
        raise ValueError("must be a part of the disk up to 90%, or a size such as 500MiB or 2GiB")
    return found[0]


def limit_of(text: str | None, total: int) -> int:
    """Return the limit in bytes on a disk of `total` bytes. Without a text it is 1 GiB, or a tenth of a disk smaller than 10 GiB."""
    found = None if text is None else _LIMIT.fullmatch(text)
    if found is None:
        return min(_GIB, total // 10)
    number, unit = float(found[1]), found[2].upper()
    return int(number * total / 100) if unit == "%" else int(number * _UNITS[unit])


def format_size(size: int) -> str:
    """Return a size in words: `1.5 GiB`."""
    for unit, name in ((_GIB, "GiB"), (1024**2, "MiB")):
        if size >= unit:
            number = f"{size / unit:.1f}".removesuffix(".0")
            return f"{number} {name}"
    return f"{size // 1024} KiB"


class Reserve:
    """A file that takes up room on the disk of the database, and is removed when the disk is full.

    The room that becomes free lets failures, alerts and attempts be stored until there is space again: otherwise a full disk could not
    be reported, as an alert is rows of the database.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.path = folder / "room-for-alerts"
        self._most = most

    @property
    def is_kept(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()

    def keep(self) -> bool:
        """Make the file if there is room for it and a quarter more; return whether it is there. May block: call it in a thread."""
        if self.path.exists():
            return True
        try:
            space = Space.of(self.path.parent)
            size = min(self._most, space.total // _RESERVE_MOST_PART)
            if size == 0 or space.free < size * 5 // 4:
                return False
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.posix_fallocate(file, 0, size)
            except OSError:
                self.path.unlink()
                raise
            finally:
                os.close(file)
        except OSError:
            return False
        return True

    def give_up(self) -> bool:
        """Remove the file; return whether that made room."""
        try:
            self.path.unlink()
        except OSError:
            return False
        return True
