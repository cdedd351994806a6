"""The settings of this relay: a folder with `relay.json`, the key next to it, the spool and the log.

Windows encrypts the key (DPAPI, for this host); elsewhere, for trials, it is in a file that only its owner can read.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from programs.relay.windows_calls import is_windows

with contextlib.suppress(ImportError):  # on other systems the key is in a file that only its owner can read
    import ntsecuritycon
    import pywintypes
    import win32crypt
    import win32security as ws

_LOCAL_MACHINE = 0x4  # CRYPTPROTECT_LOCAL_MACHINE: the administrator encrypts, the service's account decrypts
_UI_FORBIDDEN = 0x1
_MOST = 64 * 1024


class NotInstalled(Exception):
    """There are no settings, or they cannot be read; the text says what to do."""


@dataclass(frozen=True)
class RelaySettings:
    """One relay's settings. Times are seconds."""

    server: str
    profile: str
    account: str = ""
    ca_file: str = ""
    logon: float = 60.0
    submit: float = 60.0
    drain: float = 120.0

    def with_values(self, texts: dict[str, str]) -> RelaySettings:
        """Return them with other times, as texts of the command line. Raises ValueError with the name and the rule."""
        values: dict[str, Any] = asdict(self)
        for name, text in texts.items():
            if name not in ("logon", "submit", "drain"):
                raise ValueError(f"{name}: is not one of logon, submit, drain")
            seconds = float(text)
            if not 1 <= seconds <= 3600:  # noqa: PLR2004  (an hour)
                raise ValueError(f"{name}: must be 1 to 3600 seconds")
            values[name] = seconds
        return RelaySettings(**values)


def from_environment(name: str) -> str:
    """Return TOCSIN_RELAY_HOME, _KEY or _PASSWORD: what need not be on the command line."""
    return os.environ.get(f"TOCSIN_RELAY_{name}", "")


def home() -> Path:
    """Return the relay's folder."""
    own = from_environment("HOME")
    if own:
        return Path(own)
    if is_windows():
        return Path(os.environ.get("PROGRAMDATA", "C:\\ProgramData")) / "Tocsin Relay"
    return Path.home() / ".tocsin-relay"


def save(folder: Path, settings: RelaySettings, key: str) -> None:
    """Write settings and key."""
    restrict_folder(folder, settings.account)
    _replace(folder / "relay.json", json.dumps(asdict(settings), indent=1).encode())
    _replace(folder / "relay.key", seal(key.encode("ascii")))


def load(folder: Path) -> tuple[RelaySettings, str]:
    """Read settings and key. Raises NotInstalled."""
    try:
        values = json.loads((folder / "relay.json").read_bytes()[:_MOST])
        known = {setting.name for setting in fields(RelaySettings)}
        settings = RelaySettings(**{name: value for name, value in values.items() if name in known})
        return settings, unseal((folder / "relay.key").read_bytes()[:_MOST]).decode("ascii")
    except FileNotFoundError as cause:
        raise NotInstalled(f"no relay is installed in {folder}: run `install`") from cause
    except (OSError, ValueError, TypeError, AttributeError) as cause:
        raise NotInstalled(
            f"the settings in {folder} cannot be read ({type(cause).__name__}): run `install` again"
        ) from cause


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, readable only by its owner."""
    fresh = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def seal(secret: bytes) -> bytes:
    """Encrypt by Windows; elsewhere return the secret itself."""
    if not is_windows():
        return secret
    flags = _LOCAL_MACHINE | _UI_FORBIDDEN
    return bytes(win32crypt.CryptProtectData(secret, "Tocsin relay", None, None, None, flags))


def unseal(sealed: bytes) -> bytes:
    """Decrypt what `seal` returned."""
    if not is_windows():
        return sealed
    try:
        return bytes(win32crypt.CryptUnprotectData(sealed, None, None, None, _UI_FORBIDDEN)[1])
    except pywintypes.error as refused:
        raise OSError(f"the key was sealed on another host ({refused.winerror})") from refused


def restrict_folder(folder: Path, account: str) -> None:
    """Make the folder and its future content readable only by administrators, Windows itself and the service's account.

    Its parent folder is readable by all users. Raises ValueError for an account that Windows does not know.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not is_windows():
        return
    known = (ws.WinBuiltinAdministratorsSid, ws.WinLocalSystemSid)
    holders = [ws.CreateWellKnownSid(kind, None) for kind in known]
    if account:
        try:
            holders.append(ws.LookupAccountName(None, account.removeprefix(".\\"))[0])
        except pywintypes.error as refused:
            raise ValueError(f"--account {account}: Windows does not know it ({refused.strerror})") from refused
    rights = ws.ACL()
    for holder in holders:
        below = ws.OBJECT_INHERIT_ACE | ws.CONTAINER_INHERIT_ACE
        rights.AddAccessAllowedAceEx(ws.ACL_REVISION_DS, below, ntsecuritycon.FILE_ALL_ACCESS, holder)
    what = ws.DACL_SECURITY_INFORMATION | ws.PROTECTED_DACL_SECURITY_INFORMATION
    ws.SetNamedSecurityInfo(str(folder), ws.SE_FILE_OBJECT, what, None, None, rights, None)
