"""The TOML file of settings: where it is, and what it says."""

import os
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from app.core.errors import BadSettings


def read_environment() -> dict[str, str]:
    """Return the environment with upper-case names: pydantic-settings ignores their case too."""
    return {name.upper(): value for name, value in os.environ.items()}


def config_file() -> tuple[Path, bool]:
    """Return the TOML file of settings, and whether `TOCSIN_CONFIG` names it; otherwise it need not exist."""
    environment = read_environment()
    if named := environment.get("TOCSIN_CONFIG"):
        return Path(named), True
    return Path(environment.get("TOCSIN_VAR_DIR") or "var") / "tocsin.toml", False


def read_config(known: Collection[str]) -> dict[str, Any]:
    """Read the TOML file of settings; `known` are their names. A missing file that is named is an error, not an empty one."""
    path, is_named = config_file()
    label = f"TOCSIN_CONFIG: {path}" if is_named else f"{path}"
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as cause:
        if is_named:
            raise BadSettings(f"TOCSIN_CONFIG: cannot read {path}: {cause.strerror}") from cause
        return {}
    except OSError as cause:
        raise BadSettings(f"{'TOCSIN_CONFIG: ' if is_named else ''}cannot read {path}: {cause.strerror}") from cause
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise BadSettings(f"{label} is not valid TOML: {cause}") from None
    unknown = [name for name in found if name not in known]
    if unknown:
        raise BadSettings(
            f"{label}: there is no setting {', '.join(unknown)}; names in it are lower-case and without TOCSIN_"
        )
    return found
