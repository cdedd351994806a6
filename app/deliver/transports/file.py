"""The transport `file`: writes mails unchanged as `.eml` files into a folder, for setups without a mail server and for checking mails.

A file appears complete or not at all (written under another name, flushed to disk, renamed). The same message always gets
the same file name, so that sending it again creates no second file.
"""

import asyncio
import errno
import hashlib
import os
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from app.domain.attempt import Outcome, Sent, Temporary
from app.domain.message import Parcel

_TIMED_ID = re.compile(r"[a-z]+_([0-9a-f]{12})[0-9a-f]{16}")  # core/ids.py: prefix, creation time in ms, random part
_MAIL = r"\d{8}T\d{6}\.\d{3}Z-[a-z]+_[0-9a-f]{28}\.eml"  # the names that `file_name` builds from our ids
_NAMED = re.compile(rf"{_MAIL}|\.{_MAIL}\.\w+\.part")  # the second is an unfinished file of a killed process
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST = 80


class FileTransport:
    """Writes each mail into `folder`. Any disk error is Temporary: it may be repaired."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, parcel: Parcel) -> Outcome:
        """Write the mail. The evidence is the file name."""
        name = file_name(parcel.id)
        try:
            await asyncio.to_thread(_write, self._folder, name, parcel.body)
        except OSError as cause:
            return Temporary(
                errno.errorcode.get(cause.errno or 0, "disk"), f"cannot write {name}: {cause.strerror or cause}"
            )
        return Sent("written", name)

    async def close(self) -> None:
        """Do nothing: no file stays open."""


def file_name(parcel_id: str) -> str:
    """Return `<UTC creation time>-<id>.eml`. The time comes from the id, not the clock, so the name is the same at each attempt."""
    safe = _UNSAFE.sub("_", parcel_id)[:_LONGEST]
    if safe != parcel_id or not safe:  # after the replacement, two ids could share a name
        safe = f"{safe}-{hashlib.sha256(parcel_id.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    timed = _TIMED_ID.fullmatch(parcel_id)
    if timed is None:
        return f"{safe}.eml"
    seconds, millis = divmod(int(timed[1], 16), 1000)
    try:
        created_at = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError):
        return f"{safe}.eml"
    return f"{created_at:%Y%m%dT%H%M%S}.{millis:03d}Z-{safe}.eml"


def written_before(folder: Path, moment: datetime) -> list[Path]:
    """Return the mails in `folder`, finished or not, whose name has a time before `moment`. Files with other names are never returned."""
    first_kept = f"{moment.astimezone(UTC):%Y%m%dT%H%M%S}"
    files = folder.iterdir() if folder.is_dir() else ()  # the folder is created with the first mail
    return sorted(file for file in files if file.name.removeprefix(".") < first_kept and _NAMED.fullmatch(file.name))


def _write(folder: Path, name: str, body: bytes) -> None:
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=folder)  # mkstemp creates it with mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(folder / name)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    # A renamed file survives a power failure only after its folder is flushed (fsync(2)).
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
