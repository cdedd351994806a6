"""Our programs for other hosts as files to download: each with its bytes and their SHA-256.

The .pyz are packed from our own sources. The relay's MSI, with a Python in it, is built by `make msi` and lies in a folder.
"""

import hashlib
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from app.core.pyz import FOLDER, PROGRAMS, pack
from app.core.settings import Settings

MSI_X64, MSI_X86 = "tocsin-relay-x64.msi", "tocsin-relay-x86.msi"
CHECK = "check_tocsin"
NAMES = (*PROGRAMS, CHECK, MSI_X64, MSI_X86)
_BUILT_HERE = FOLDER.parent / "dist"
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ProgramFile:
    """A file to download: its bytes, or where it lies."""

    name: str
    sha256: str
    content: bytes | None = None
    path: Path | None = None


def find_program(settings: Settings, name: str) -> ProgramFile | None:
    """Return a file by its name; None if there is none. It reads an MSI whole when that is new: call it in a thread."""
    if name in PROGRAMS:
        packed = _packed(PROGRAMS[name])
        return None if packed is None else ProgramFile(name, hashlib.sha256(packed).hexdigest(), content=packed)
    if name == CHECK:
        source = (FOLDER / "monitoring" / "check_tocsin.py").read_bytes()
        return ProgramFile(name, hashlib.sha256(source).hexdigest(), content=source)
    if name not in NAMES:
        return None
    path = (settings.downloads_dir or _BUILT_HERE) / name
    try:
        now = path.stat()
        return ProgramFile(name, _sha256_of(path, now.st_mtime_ns, now.st_size), path=path)
    except OSError:
        return None


@cache
def _packed(program: str) -> bytes | None:
    return pack(program)


@lru_cache(maxsize=8)
def _sha256_of(path: Path, _changed_at: int, _size: int) -> str:
    """Return a file's hash. It is kept until the file is replaced."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
