"""The keys made at the first start, in a file that only its owner can read, until an administrator has put them in a safe place.

`tocsin demo` and whoever missed the one time that they were shown find them there. The folder also holds the secret that
all keys are hashed with, so whoever can read it is trusted already.
"""

import os
from pathlib import Path

from app.core.settings import Settings

_NAME = "first-keys.env"


def path_of(settings: Settings) -> Path:
    """Give the file's place."""
    return settings.var_dir / _NAME


def keep(settings: Settings, **keys: str | None) -> None:
    """Write those keys that were made."""
    lines = [f"TOCSIN_{name.upper()}={key}\n" for name, key in keys.items() if key is not None]
    if not lines:
        return
    settings.var_dir.mkdir(
        parents=True, exist_ok=True, mode=0o700
    )  # with TOCSIN_SECRET and PostgreSQL nothing made it yet
    file = os.open(path_of(settings), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "w", encoding="ascii") as text:
        text.writelines(lines)


def read(settings: Settings) -> dict[str, str]:
    """Give the keys by the names of their settings, or nothing where there is no such file."""
    try:
        lines = path_of(settings).read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)
