"""Pack one of our programs for other hosts into one file, as Python's zipapp does: `python -m app.core.pyz relay dist`.

The same sources and the same Python produce the same bytes, so that an administrator can compare files. The programs need nothing but
Python. Next to each source lies its compiled form: a Python of our version starts without compiling, which took half of the start of
each call; any other version takes the source.
"""

import importlib.util
import io
import marshal
import sys
import zipfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "programs"
PROGRAMS = {"tocsin-relay.pyz": "relay", "tocsin-report.pyz": "reporter"}
_FIXED_DATE = (2026, 1, 1, 0, 0, 0)
_MAIN = "import sys\n\nfrom programs.{name}.__main__ import main\n\nsys.exit(main())\n"


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
            inside, text = f"programs/{source.relative_to(FOLDER).as_posix()}", source.read_bytes()
            if compiled := _compiled(inside, text):
                _add(archive, f"{inside}c", compiled)
            _add(archive, inside, text)
    return packed.getvalue()


def _compiled(name: str, source: bytes) -> bytes | None:
    """Return a .pyc (PEP 552) that is not compared with its source, which zipimport could do only by the time of the file.

    None where a Python from 3.14 on has made a constant of a slice, which the format below cannot hold: that file is compiled at the start.
    """
    unchecked = (0b01).to_bytes(4, "little") + importlib.util.source_hash(source)
    # Version 2 of the format: from 3 on, the bytes depend on how often a string is used in this process.
    try:
        code = marshal.dumps(compile(source, name, "exec", dont_inherit=True), 2)
    except ValueError:
        return None
    return importlib.util.MAGIC_NUMBER + unchecked + code


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
