"""Pack one of our programs for other hosts into one file, as Python's zipapp does: `python -m app.core.pyz relay dist`.

The same sources produce the same bytes, so that an administrator can compare files. The programs need nothing but Python.
"""

import io
import sys
import zipfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "programs"
PROGRAMS = {"tocsin-relay.pyz": "relay", "tocsin-report.pyz": "reporter"}
_FIXED_DATE = (2026, 1, 1, 0, 0, 0)
_MAIN = "import runpy\n\nrunpy.run_module('programs.{name}', run_name='__main__')\n"


def pack(name: str) -> bytes | None:
    """Return the bytes of the program's file; None if there is no such program."""
    folder = FOLDER / name
    if not (folder / "program.py").exists():
        return None
    packed = io.BytesIO(b"#!/usr/bin/env python3\n")
    packed.seek(0, io.SEEK_END)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "__main__.py", _MAIN.format(name=name).encode())
        for source in (
            FOLDER / "__init__.py",
            *sorted(folder.rglob("*.py")),
            *sorted((FOLDER / "protocol").glob("*.py")),
        ):
            _add(archive, f"programs/{source.relative_to(FOLDER).as_posix()}", source.read_bytes())
    return packed.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _FIXED_DATE)
    entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
    archive.writestr(entry, data)


def write(name: str, folder: Path) -> Path:
    """Write a program's file into `folder`. Raises LookupError if there is no such program."""
    packed = pack(name)
    if packed is None:
        raise LookupError(name)
    path = folder / next(file for file, program in PROGRAMS.items() if program == name)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed)
    path.chmod(0o755)
    return path


if __name__ == "__main__":
    sys.stdout.write(f"{write(sys.argv[1], Path(sys.argv[2]))}\n")
