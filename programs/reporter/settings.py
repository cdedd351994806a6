"""The reporter's settings: from its options, TOCSIN_REPORT_* in the environment, a file of `name = value` lines; in this order.

The key is never an option: every user of the host sees the options of a running program. This module must not write, and must not
show the key.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_NAMES = ("url", "key", "key_file", "ca_file", "agent", "spool")
_MOST = 64 * 1024


class BadReporterSettings(ValueError):
    """The settings cannot be used; the text says why, and never contains the key."""


class ReporterSettings(NamedTuple):
    """Where to report, as which agent, and where to keep unsent events. `trouble` says what is wrong with them, if anything."""

    url: str = ""
    key: str = ""
    ca_file: str = ""
    agent: str = ""
    spool: Path = Path()
    trouble: str = ""

    def __repr__(self) -> str:
        """Return a text without the key: many people read tracebacks and logs."""
        return f"Settings(url={self.url!r}, spool={str(self.spool)!r})"


def load(options: Mapping[str, str]) -> ReporterSettings:
    """Read the settings. Raises nothing: a backup needs a spool even if the rest is missing."""
    try:
        values = {**_from_file(), **_from_environment(), **{name: value for name, value in options.items() if value}}
        trouble = ""
    except BadReporterSettings as cause:
        values, trouble = (
            {**_from_environment(), **{name: value for name, value in options.items() if value}},
            str(cause),
        )
    key = ""
    try:
        key = _key(values)
    except BadReporterSettings as cause:
        trouble = trouble or str(cause)
    url = values.get("url", "")
    if not trouble and not url:
        trouble = "no address: set TOCSIN_REPORT_URL, or `url = https://...` in " + str(config_file())
    spool = values.get("spool")
    if not spool:
        if sys.platform == "win32":
            spool = os.path.join(os.environ.get("LOCALAPPDATA") or "C:\\ProgramData", "tocsin-report")  # noqa: PTH118
        elif os.geteuid() == 0:
            spool = "/var/lib/tocsin-report"
        else:
            state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111
            spool = os.path.join(state, "tocsin-report")  # noqa: PTH118
    return ReporterSettings(url, key, values.get("ca_file", ""), values.get("agent", ""), Path(spool), trouble)


def this_host() -> str:
    """Return the host's name, the agent's name by default."""
    return socket.gethostname() or "unnamed host"


def environment() -> Mapping[str, str]:
    """Return the environment unchanged, for the command."""
    return os.environ


def config_file() -> Path:
    """Return the path of the settings file."""
    own = os.environ.get("TOCSIN_REPORT_CONFIG")
    if own:
        return Path(own)
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", "C:\\ProgramData")) / "tocsin-report.conf"
    of_user = Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")) / "tocsin-report.conf"  # noqa: PTH111  (Path.home raises if there is none)
    return of_user if of_user.is_file() else Path("/etc/tocsin-report.conf")


def _from_environment() -> dict[str, str]:
    found = {name: os.environ.get(f"TOCSIN_REPORT_{name.upper()}", "") for name in _NAMES}
    return {name: value for name, value in found.items() if value}


def _from_file() -> dict[str, str]:
    path = config_file()
    try:
        data = path.read_bytes()[:_MOST]
    except FileNotFoundError:
        return {}
    except OSError as cause:
        raise BadReporterSettings(f"{path}: {cause.strerror}") from cause
    found: dict[str, str] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        name, separator, value = (part.strip() for part in line.partition("="))
        if not name or name.startswith("#"):
            continue
        if not separator or name not in _NAMES:
            raise BadReporterSettings(f"{path}, line {number}: not one of {', '.join(_NAMES)}, followed by `= value`")
        found[name] = value.strip("\"'")
    if "key" in found:
        _check_private(path)
    return found


def _key(values: Mapping[str, str]) -> str:
    key = values.get("key", "")
    if not key and "key_file" in values:
        path = Path(values["key_file"])
        _check_private(path)
        try:
            key = path.read_bytes()[:_MOST].decode("ascii", "replace").strip()
        except OSError as cause:
            raise BadReporterSettings(f"{path}: {cause.strerror}") from cause
    if not key:
        raise BadReporterSettings("no key: set TOCSIN_REPORT_KEY_FILE to a file that holds it")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise BadReporterSettings(
            "the key contains a character that no key has: a space, a line end, or a letter beyond ASCII"
        )
    return key


def _check_private(path: Path) -> None:
    """Refuse a key that others may read, as ssh does. Windows has other rights, inherited from the folder."""
    if sys.platform == "win32":
        return
    try:
        mode = path.stat().st_mode
    except OSError as cause:
        raise BadReporterSettings(f"{path}: {cause.strerror}") from cause
    if stat.S_IMODE(mode) & 0o077:
        raise BadReporterSettings(f"{path} holds the key and may be read by others: chmod 600 {path}")
