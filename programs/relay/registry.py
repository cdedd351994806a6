"""Read the administrator's settings in the registry, from our own key first and then the DS-Client's; write our own key only.

RegistryHive stands for the registry; a fake for tests and Windows' own are here. No name that comes from a server is used in it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Union

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


@dataclass
class FakeHive:
    """A registry for tests. `content`: {(view, key): {name: value}}; keys and names are found in any case."""

    content: dict[tuple[int, str], dict[str, Value]] = field(default_factory=dict)

    def read(self, key: str, name: str, view: int) -> Value | None:
        """Read from `content`."""
        found = (values for (v, k), values in self.content.items() if v == view and k.lower() == key.lower())
        return {n.lower(): value for n, value in next(found, {}).items()}.get(name.lower())

    def keys(self, key: str, view: int) -> Sequence[str]:
        """Read from `content`."""
        start = key.lower() + "\\"
        below = (k[len(start) :].split("\\")[0] for v, k in self.content if v == view and k.lower().startswith(start))
        return list(dict.fromkeys(below))

    def write(self, key: str, name: str, value: Value, view: int) -> None:
        """Write to `content`."""
        self.content.setdefault((view, key), {})[name] = value


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
    """Set one of our values from the command line: clients separated by ";", the spooler as 0 or 1. Raises BadSetting."""
    if name.lower() == CLIENTS.lower():
        hive.write(OUR_KEY, CLIENTS, list(_names(value_text)), 64)
    elif name.lower() == SPOOLER.lower() and value_text.strip() in ("0", "1"):
        hive.write(OUR_KEY, SPOOLER, int(value_text), 64)
    else:
        raise BadSetting(f"{CLIENTS}=name;name and {SPOOLER}=0 or 1 can be set")


def set_up(hive: RegistryHive) -> None:
    """List Microsoft Outlook, as setup does, unless there is a list already."""
    if not _first(hive, CLIENTS)[1]:
        set_value(hive, CLIENTS, BY_SETUP)


def _first(hive: RegistryHive, name: str) -> tuple[Value | None, str]:
    for key in (OUR_KEY, OLD_KEY):
        for view in VIEWS:
            value = hive.read(key, name, view)
            if value is not None:
                return value, f"HKLM\\{key}"
    return None, ""


def _names(value: Value | None) -> tuple[str, ...]:
    """Return the clients' names, each once. A name with a backslash would be a path in the registry, so it is ignored."""
    if value is None or isinstance(value, int):
        return ()
    lines = [value] if isinstance(value, str) else list(value)[:_MOST_KEYS]
    names = [name.strip() for line in lines for name in line.split(";")]
    known: dict[str, str] = {}
    for name in names:
        if 0 < len(name) <= _LONGEST_NAME and "\\" not in name and name.isprintable():
            known.setdefault(name.lower(), name)
    return tuple(known.values())[:_MOST_CLIENTS]


_MOST_KEYS = 1000


class WindowsHive:
    """The registry of this Windows host. See RegistryHive."""

    def __init__(self) -> None:
        if sys.platform != "win32":
            raise NotWindows("the registry")

    def read(self, key: str, name: str, view: int) -> Value | None:
        """Read a value; %names% in an expandable one are replaced."""
        found: Value | None = None
        if sys.platform == "win32":
            import winreg  # noqa: PLC0415  (Windows only)

            with contextlib.suppress(OSError), _opened(key, view, winreg.KEY_READ) as opened:
                value, kind = winreg.QueryValueEx(opened, name)
                if kind == winreg.REG_EXPAND_SZ:
                    found = winreg.ExpandEnvironmentStrings(value)
                elif isinstance(value, (str, int, list)):
                    found = value
        return found

    def keys(self, key: str, view: int) -> Sequence[str]:
        """Return the names of the keys below."""
        names: list[str] = []
        if sys.platform == "win32":
            import winreg  # noqa: PLC0415  (Windows only)

            with contextlib.suppress(OSError), _opened(key, view, winreg.KEY_READ) as opened:
                names.extend(
                    winreg.EnumKey(opened, index) for index in range(min(winreg.QueryInfoKey(opened)[0], _MOST_KEYS))
                )
        return names

    def write(self, key: str, name: str, value: Value, view: int) -> None:
        """Set a value. Raises OSError without the right to do so."""
        if sys.platform == "win32":
            import winreg  # noqa: PLC0415  (Windows only)

            access = winreg.KEY_WRITE | _view(view)
            with winreg.CreateKeyEx(winreg.HKEY_LOCAL_MACHINE, key, 0, access) as opened:
                if isinstance(value, int):
                    winreg.SetValueEx(opened, name, 0, winreg.REG_DWORD, value)
                elif isinstance(value, str):
                    winreg.SetValueEx(opened, name, 0, winreg.REG_SZ, value)
                else:
                    winreg.SetValueEx(opened, name, 0, winreg.REG_MULTI_SZ, list(value))


def _view(view: int) -> int:
    return {64: 0x0100, 32: 0x0200}[view]  # KEY_WOW64_64KEY, KEY_WOW64_32KEY


@contextlib.contextmanager
def _opened(key: str, view: int, access: int) -> Iterator[Any]:
    if sys.platform == "win32":
        import winreg  # noqa: PLC0415  (Windows only)

        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key, 0, access | _view(view)) as opened:
            yield opened
    else:
        raise NotWindows("the registry")


def this_registry() -> RegistryHive:
    """Return this host's registry; an empty one where there is none."""
    if sys.platform == "win32":
        return WindowsHive()
    else:  # noqa: RET505  (mypy then judges either branch on its own system)
        return FakeHive()
