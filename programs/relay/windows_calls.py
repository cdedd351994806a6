"""Windows' own libraries by ctypes. Importable on any system; only a call needs Windows."""

from __future__ import annotations

import sys
from typing import Any


class NotWindows(Exception):
    """A function of Windows was called on another system."""


def is_windows() -> bool:
    """Return whether this is Windows.

    Code that mypy can check on any system calls this; other code tests sys.platform, which mypy follows.
    """
    return sys.platform == "win32"


def is_wine() -> bool:
    """Return whether this is Wine, which accepts what Windows would check. Its ntdll alone has this function."""
    return is_windows() and hasattr(library("ntdll"), "wine_get_version")


def is_administrator() -> bool:
    """Return whether this process may install services; elsewhere than on Windows nobody asks."""
    return not is_windows() or bool(library("shell32").IsUserAnAdmin())


def has_console() -> bool:
    """Return whether somebody can be asked. Windows calls its null device a terminal; a question there would wait for ever."""
    if sys.platform == "win32":
        import pywintypes  # noqa: PLC0415  (Windows only)
        import win32console  # noqa: PLC0415  (Windows only)

        try:
            win32console.GetStdHandle(win32console.STD_INPUT_HANDLE).GetConsoleMode()
        except (pywintypes.error, AttributeError):
            return False
        return True
    return sys.stdin.isatty()


def library(path: str) -> Any:  # noqa: ANN401  (ctypes.WinDLL, which has no type away from Windows)
    """Load a library from its name or full path, and the libraries that it needs from its folder. Raises OSError."""
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415  (WinDLL is there on Windows only)

        return ctypes.WinDLL(path, winmode=0x8 if "\\" in path else None)  # LOAD_WITH_ALTERED_SEARCH_PATH
    raise NotWindows(path)
