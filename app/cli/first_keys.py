"""The file with the keys of the first start, readable only by its owner, until an administrator has stored them in a safe place.

`tocsin demo` reads it, and people who missed the one time that the keys were shown. The folder also contains the secret that all
keys are hashed with, so that anybody who can read it is trusted already.
"""

import os
from pathlib import Path

from app.core.errors import NotAllowed
from app.core.settings import Settings

_NAME = "first-keys.env"


def path_of(settings: Settings) -> Path:
    """Return the path of the file."""
    return settings.var_dir / _NAME


def keep(settings: Settings, **keys: str | None) -> None:
    """Write the keys that were created."""
    lines = [f"TOCSIN_{name.upper()}={key}\n" for name, key in keys.items() if key is not None]
    if not lines:
        return
    settings.var_dir.mkdir(
        parents=True, exist_ok=True, mode=0o700
    )  # with TOCSIN_SECRET and PostgreSQL the folder does not exist yet
    file = os.open(path_of(settings), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "w", encoding="ascii") as text:
        text.writelines(lines)


def read(settings: Settings) -> dict[str, str]:
    """Return the keys by the names of their settings; empty if there is no such file."""
    try:
        lines = path_of(settings).read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)


def admin_key(settings: Settings) -> str:
    """Return the admin key of the settings, or the one of the first start. Raises NotAllowed if there is none."""
    if settings.admin_key is not None:
        return settings.admin_key.get_secret_value()
    key = read(settings).get("TOCSIN_ADMIN_KEY")
    if key is None:
        raise NotAllowed(f"no admin key: set TOCSIN_ADMIN_KEY; the file {path_of(settings)} does not exist (any more)")
    return key
