"""Where settings come from: the environment, and which file of settings is read."""

import os
from pathlib import Path


def read_environment() -> dict[str, str]:
    """Return the environment with upper-case names: pydantic-settings ignores their case too."""
    return {name.upper(): value for name, value in os.environ.items()}


def config_file() -> tuple[Path, bool]:
    """Return the TOML file of settings, and whether `TOCSIN_CONFIG` names it; otherwise it need not exist."""
    environment = read_environment()
    if named := environment.get("TOCSIN_CONFIG"):
        return Path(named), True
    return Path(environment.get("TOCSIN_VAR_DIR") or "var") / "tocsin.toml", False
