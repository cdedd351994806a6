"""Read the administrator's settings in the registry, from our own key first and then the DS-Client's; write our own key only.

No name that comes from a server is used in the registry.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Union

from programs.relay.windows_calls import NotWindows

OUR_KEY = r"SOFTWARE\Tocsin\Relay"
OLD_KEY = r"System\CurrentControlSet\Services\DS-Client\Parameters"
CLIENTS, SPOOLER = "MailClientsSupported", "MailUsingSpooler"
BY_SETUP = "Microsoft Outlook"
VIEWS = (64, 32)
_MOST_CLIENTS, _LONGEST_NAME, _MOST_KEYS = 64, 255, 1000

Value = Union[str, int, Sequence[str]]


class BadSetting(Exception):
    """There is no such setting, or its value is of another kind."""


class RegistryHive(Protocol):
    """HKEY_LOCAL_MACHINE in one of its two views (64 or 32 bits)."""

    def read(self, key: str, name: str, view: int) -> Value | None:
        """Return a value, None if it does not exist; "" names a key's default value."""
        ...

    def keys(self, key: str, view: int) -> Sequence[str]:
        """Return the names of the keys below; none if there is no such key."""
        ...

    def write(self, key: str, name: str, value: Value, view: int) -> None:
        """Create the key if necessary, and set a value: text, a number as DWORD, or several texts as MULTI_SZ."""
        ...


@dataclass(frozen=True)
class MailSettings:
    """The administrator's settings. `clients_from` and `spooler_from` name the key, or are empty if nothing is set."""

    clients: tuple[str, ...] = ()
    use_spooler: bool = False
    clients_from: str = ""
    spooler_from: str = ""


def read_settings(hive: RegistryHive) -> MailSettings:
    """Return the mail clients and the spooler setting, each from the first registry key that has it."""
    clients, clients_from = _first(hive, CLIENTS)
    spooler, spooler_from = _first(hive, SPOOLER)
    use_spooler = (
        spooler.strip() not in ("", "0") if isinstance(spooler, str) else isinstance(spooler, int) and spooler != 0
    )
    return MailSettings(_names(clients), use_spooler, clients_from, spooler_from)


def set_value(hive: RegistryHive, name: str, value_text: str) -> None:
    """Set one of our values from the command line: a list of clients, or the spooler as 0 or 1. Raises BadSetting."""
    if name.lower() == CLIENTS.lower():
        hive.write(OUR_KEY, CLIENTS, list(_names(value_text)), 64)
    elif name.lower() == SPOOLER.lower() and value_text.strip() in ("0", "1"):
        hive.write(OUR_KEY, SPOOLER, int(value_text), 64)
    else:
        raise BadSetting(f"{CLIENTS}=name;name and {SPOOLER}=0 or 1 can be set")


def set_up(hive: RegistryHive) -> None:
    """Add Microsoft Outlook, as setup does, to a list that lacks it: at its end, so that the administrator's order stays."""
    names = read_settings(hive).clients
    if BY_SETUP.lower() not in (name.lower() for name in names):
        hive.write(OUR_KEY, CLIENTS, [*names[: _MOST_CLIENTS - 1], BY_SETUP], 64)


def _first(hive: RegistryHive, name: str) -> tuple[Value | None, str]:
    for key in (OUR_KEY, OLD_KEY):
        for view in VIEWS:
            value = hive.read(key, name, view)
            if value is not None:
                return value, f"HKLM\\{key}"
    return None, ""


# What people put between names: also quotes of any kind, the "\\0" of `reg add`, and the comma and semicolon of East Asian keyboards.
_SEPARATOR = re.compile('[,;|"\u201c\u201d\u201e\u00ab\u00bb\uff0c\uff1b\u3001\t\n\v\f\r\0\x85\u2028\u2029]|\\\\0')
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]")


def _names(value: Value | None) -> tuple[str, ...]:
    """Return the clients' names, each once, with plain spaces. A name with a backslash would be a path in the registry: it is ignored."""
    if value is None or isinstance(value, int):
        return ()
    lines = [value] if isinstance(value, str) else list(value)[:_MOST_KEYS]
    known: dict[str, str] = {}
    for piece in (piece for line in lines for piece in _SEPARATOR.split(_INVISIBLE.sub("", line))):
        name = " ".join(piece.split()).strip("' \u2018\u2019")  # `split` knows the no-break space, too
        if 0 < len(name) <= _LONGEST_NAME and "\\" not in name and name.isprintable():
            known.setdefault(name.lower(), name)
    return tuple(known.values())[:_MOST_CLIENTS]


if sys.platform == "win32":
    import winreg

    _VIEWS = {64: winreg.KEY_WOW64_64KEY, 32: winreg.KEY_WOW64_32KEY}

    class WindowsHive:
        """The registry of this Windows host. See RegistryHive."""

        def read(self, key: str, name: str, view: int) -> Value | None:
            """Read a value; %names% in an expandable one are replaced."""
            with contextlib.suppress(OSError), self._opened(key, view) as opened:
                value, kind = winreg.QueryValueEx(opened, name)
                if kind == winreg.REG_EXPAND_SZ:
                    return winreg.ExpandEnvironmentStrings(value)
                return value if isinstance(value, (str, int, list)) else None
            return None

        def keys(self, key: str, view: int) -> Sequence[str]:
            """Return the names of the keys below."""
            with contextlib.suppress(OSError), self._opened(key, view) as opened:
                count = min(winreg.QueryInfoKey(opened)[0], _MOST_KEYS)
                return [winreg.EnumKey(opened, index) for index in range(count)]
            return []

        def write(self, key: str, name: str, value: Value, view: int) -> None:
            """Set a value. Raises OSError without the right to do so."""
            kind = {int: winreg.REG_DWORD, str: winreg.REG_SZ}.get(type(value), winreg.REG_MULTI_SZ)
            access = winreg.KEY_WRITE | _VIEWS[view]
            with winreg.CreateKeyEx(winreg.HKEY_LOCAL_MACHINE, key, 0, access) as opened:
                winreg.SetValueEx(opened, name, 0, kind, value)

        def _opened(self, key: str, view: int) -> winreg.HKEYType:
            return winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key, 0, winreg.KEY_READ | _VIEWS[view])


def this_registry() -> RegistryHive:
    """Return this host's registry. Raises NotWindows."""
    if sys.platform == "win32":
        return WindowsHive()
    else:  # noqa: RET505  (mypy then judges either branch on its own system)
        raise NotWindows("the registry")
