"""Writes settings where the service reads them: the TOML file, and the files that `TOCSIN_X_FILE` names for secrets.

Other lines are kept as they are, with their comments. Each file is replaced in one step, so that an end at any moment leaves the old
one or the new one, and only its owner can read it: it may hold secrets.
"""

import contextlib
import json
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.core.config_file import config_file
from app.core.errors import BadSettings, TocsinError

_KEY = re.compile(r"""\s*(?:"(?P<quoted>[^"]+)"|'(?P<single>[^']+)'|(?P<bare>[A-Za-z0-9_-]+))\s*=""")
_OWNER_ONLY, _GROUP_MAY_READ, _ALL_MAY_READ = 0o600, 0o640, 0o644
_ROOT = 0

Changes = Mapping[str, str | None]  # the names of settings -> new value, or None to remove it


@dataclass(slots=True)
class Plan:
    """What will be written: the new text of each file, and the file of each setting that has a value."""

    texts: dict[Path, str] = field(default_factory=dict)
    certificates: dict[Path, str] = field(default_factory=dict)
    """Files that the service must be able to read as whatever user it runs; they are no secret."""
    names: dict[str, Path] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    hidden_by: dict[str, str] = field(default_factory=dict)
    """Settings that a variable of the environment decides, whatever the files say -> the name of that variable."""


def plan_changes(changes: Changes, environment: Mapping[str, str]) -> Plan:
    """Decide in which file each change belongs. Raises BadSettings if a file cannot be read or changed."""
    plan, for_config = Plan(), dict(changes)
    config, _ = config_file()
    variables = {
        name.upper(): (name, value) for name, value in environment.items() if name.upper().startswith("TOCSIN_")
    }
    for name, value in changes.items():
        variable = f"TOCSIN_{name.upper()}"
        if variable in variables and variables[variable][1] != (value or ""):
            plan.hidden_by[name] = variables[variable][0]
        elif variable not in variables and f"{variable}_FILE" in variables and f"{name}_file" not in changes:
            for_config.pop(name)
            if value is None:
                plan.hidden_by[name] = variables[f"{variable}_FILE"][0]
            else:
                path = Path(variables[f"{variable}_FILE"][1])
                plan.texts[path] = value + "\n"
                plan.names[name] = path
    try:
        old = config.read_text(encoding="utf-8")
    except FileNotFoundError:
        old = ""
    except (OSError, UnicodeDecodeError) as cause:
        reason = getattr(cause, "strerror", None) or "it is not text in UTF-8"
        raise BadSettings(f"cannot read {config}: {reason}") from cause
    plan.texts[config] = edit_toml(old, for_config, config)
    plan.removed = [name for name in tomllib.loads(old) if name in for_config and for_config[name] is None]
    plan.names |= {name: config for name, value in for_config.items() if value is not None}
    return plan


def edit_toml(text: str, changes: Changes, path: Path) -> str:
    """Return the text with these settings; all other lines stay. Raises BadSettings where that cannot be done line by line."""
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError as cause:
        raise BadSettings(f"{path} is not valid TOML: {cause}; correct it first") from None
    left = {name: value for name, value in changes.items() if value is not None}
    lines: list[str] = []
    for line in text.removesuffix("\n").split("\n") if text else []:
        found = _KEY.match(line)
        name = next(filter(None, found.groups()), "") if found else ""
        if name not in changes:
            lines.append(line)
        elif (value := left.pop(name, None)) is not None:
            lines.append(_line(name, value))
    lines += [_line(name, value) for name, value in left.items()]
    edited = "".join(f"{line}\n" for line in lines)
    wanted = {name: value for name, value in before.items() if name not in changes}
    wanted |= {name: value for name, value in changes.items() if value is not None}
    with contextlib.suppress(tomllib.TOMLDecodeError):
        if tomllib.loads(edited) == wanted:
            return edited
    names = ", ".join(name for name in changes if name in before)
    raise BadSettings(
        f"{path} cannot be changed line by line ({names}): write each of these settings on one line first"
    )


def write(plan: Plan) -> None:
    """Replace the files; the one with the settings last. Raises TocsinError that names the file."""
    for path, text in [*plan.certificates.items(), *plan.texts.items()]:
        try:
            _replace(path, text, is_public=path in plan.certificates)
        except OSError as cause:
            raise TocsinError(f"cannot write {path}: {cause.strerror}; nothing else was changed") from cause


def _line(name: str, value: str) -> str:
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # then a JSON string is a TOML string
    return f"{name} = {text}"


def _replace(path: Path, text: str, *, is_public: bool) -> None:
    path = path.resolve()  # a link stays a link
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            old = path.stat() if path.exists() else None
            mode = _OWNER_ONLY if old is None else stat.S_IMODE(old.st_mode) & _GROUP_MAY_READ
            os.fchmod(file.fileno(), _ALL_MAY_READ if is_public else mode)
            if (
                os.geteuid() == _ROOT
            ):  # with sudo: the service, which runs as the owner of its folder, must be able to read it
                owner = old or path.parent.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
