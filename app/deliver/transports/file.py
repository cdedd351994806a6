"""Writes mails as `.eml` files into a folder, for setups without a mail server and for reading along. It must not change a byte.

A file appears whole or not at all (written under another name, flushed to the disk, renamed), and the same parcel always has
the same name, so that sending it again makes no second one.
"""

import asyncio
import errno
import hashlib
import os
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from app.domain.message import Parcel
from app.domain.outcome import Outcome, Sent, Temporary

_TIMED_ID = re.compile(r"[a-z]+_([0-9a-f]{12})[0-9a-f]{16}")  # base/ids.py: the noun, the time of making in ms, chance
_MAIL = r"\d{8}T\d{6}\.\d{3}Z-[a-z]+_[0-9a-f]{28}\.eml"  # as `file_name` names what has an id of ours
_NAMED = re.compile(rf"{_MAIL}|\.{_MAIL}\.\w+\.part")  # the second is the piece of one that a kill cut off
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST = 80


class File:
    """The transport `file`. Any fault of the disk is Temporary: it may be mended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, parcel: Parcel) -> Outcome:
        """Write the mail; the evidence is the file's name."""
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
    """Give `<UTC time of making>-<id>.eml`. The time is read from the id, not the clock: the name is the same at each attempt."""
    safe = _UNSAFE.sub("_", parcel_id)[:_LONGEST]
    if safe != parcel_id or not safe:  # two ids must not share a name
        safe = f"{safe}-{hashlib.sha256(parcel_id.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    timed = _TIMED_ID.fullmatch(parcel_id)
    if timed is None:
        return f"{safe}.eml"
    seconds, millis = divmod(int(timed[1], 16), 1000)
    try:
        made = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError):
        return f"{safe}.eml"
    return f"{made:%Y%m%dT%H%M%S}.{millis:03d}Z-{safe}.eml"


def written_before(folder: Path, moment: datetime) -> list[Path]:
    """Give the mails in `folder`, and pieces of such, that were made before `moment`, by their names; no other file, whoever put it there."""
    first_kept = f"{moment.astimezone(UTC):%Y%m%dT%H%M%S}"
    files = folder.iterdir() if folder.is_dir() else ()  # there is none as long as no mail was written
    return sorted(file for file in files if file.name.removeprefix(".") < first_kept and _NAMED.fullmatch(file.name))


def _write(folder: Path, name: str, body: bytes) -> None:
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=folder)  # made with mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(folder / name)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    """A renamed file survives a power cut only once its folder is flushed (fsync(2))."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
