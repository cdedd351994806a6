"""The registry of this Windows host, HKEY_LOCAL_MACHINE alone. For Windows only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from programs.relay.registry import Value
from programs.relay.windows_calls import NotWindows

_MOST_KEYS = 1000


class WindowsHive:
    """See programs.relay.registry.Hive."""

    def __init__(self) -> None:
        if sys.platform != "win32":
            raise NotWindows("the registry")

    def read(self, key: str, name: str, view: int) -> Value | None:
        """Read a value; %names% in an expandable one are filled in."""
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
        """List the keys below."""
        names: list[str] = []
        if sys.platform == "win32":
            import winreg  # noqa: PLC0415  (Windows only)

            with contextlib.suppress(OSError), _opened(key, view, winreg.KEY_READ) as opened:
                names.extend(
                    winreg.EnumKey(opened, index) for index in range(min(winreg.QueryInfoKey(opened)[0], _MOST_KEYS))
                )
        return names

    def write(self, key: str, name: str, value: Value, view: int) -> None:
        """Set a value. Raises OSError where we may not."""
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
