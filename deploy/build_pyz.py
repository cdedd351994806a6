"""Builds one of the programs for other hosts as one file: `python deploy/build_pyz.py relay` writes dist/tocsin-relay.pyz.

The same sources give the same bytes, so that an administrator can compare. Only our own code goes in: it needs Python alone.
"""

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = {
    "relay": ("tocsin-relay.pyz", "app.relay.program"),
    "reporter": ("tocsin-report.pyz", "app.reporter.program"),
}
_LONG_AGO = (2026, 1, 1, 0, 0, 0)
_MAIN = "import sys\n\nfrom {module} import main\n\nif __name__ == '__main__':\n    sys.exit(main())\n"


def build(name: str, folder: Path) -> Path:
    """Write the program's file into `folder` and give its path."""
    file_name, module = PROGRAMS[name]
    path = folder / file_name
    folder.mkdir(parents=True, exist_ok=True)
    sources = [
        ROOT / "app/__init__.py",
        *sorted((ROOT / "app" / name).glob("*.py")),
        *sorted((ROOT / "app/wire").glob("*.py")),
    ]
    with path.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, "__main__.py", _MAIN.format(module=module).encode())
            for source in sources:
                _add(archive, source.relative_to(ROOT).as_posix(), source.read_bytes())
    path.chmod(0o755)
    return path


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _LONG_AGO)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    archive.writestr(entry, data)


if __name__ == "__main__":
    for _name in sys.argv[1:] or PROGRAMS:
        sys.stdout.write(f"{build(_name, ROOT / 'dist')}\n")
