"""Windows' own libraries by ctypes, each typed once. Importable on any system; only a call needs Windows."""

from __future__ import annotations

import ctypes
import sys
from ctypes import wintypes
from typing import Any


class NotWindows(Exception):
    """A function of Windows was called on another system."""


def is_windows() -> bool:
    """Return whether this is Windows.

    Code that mypy can check on any system calls this; other code tests sys.platform, which mypy follows.
    """
    return sys.platform == "win32"


def library(name: str) -> Any:  # noqa: ANN401  (ctypes.WinDLL, which has no type away from Windows)
    """Load a library by its name or path, keeping its last error for us."""
    if sys.platform == "win32":
        return ctypes.WinDLL(name, use_last_error=True)
    raise NotWindows(name)


def library_at(path: str) -> Any:  # noqa: ANN401  (as above)
    """Load a library from a full path, and the libraries that it needs from its folder."""
    if sys.platform == "win32":
        return ctypes.WinDLL(path, use_last_error=True, winmode=0x8)  # LOAD_WITH_ALTERED_SEARCH_PATH
    raise NotWindows(path)


def function_type(result: Any, *arguments: Any) -> Any:  # noqa: ANN401  (ctypes' own types)
    """Return the type of a function that Windows calls."""
    if sys.platform == "win32":
        return ctypes.WINFUNCTYPE(result, *arguments)
    raise NotWindows("a function for Windows to call")


def last_error() -> int:
    """Return the error number of the last call."""
    if sys.platform == "win32":
        return ctypes.get_last_error()
    else:  # noqa: RET505  (mypy then checks each branch for its own system)
        return 0


class BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

    _fields_ = (
        ("per_process_time", ctypes.c_int64),
        ("per_job_time", ctypes.c_int64),
        ("flags", wintypes.DWORD),
        ("least_working_set", ctypes.c_size_t),
        ("most_working_set", ctypes.c_size_t),
        ("active_processes", wintypes.DWORD),
        ("affinity", ctypes.c_size_t),
        ("priority", wintypes.DWORD),
        ("scheduling", wintypes.DWORD),
    )


class ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (("basic", BasicLimits), ("io", ctypes.c_uint64 * 6), ("memory", ctypes.c_size_t * 4))


class ProcessIds(ctypes.Structure):
    """JOBOBJECT_BASIC_PROCESS_ID_LIST, with room for more processes than one child ever starts."""

    _fields_ = (
        ("assigned", wintypes.DWORD),
        ("listed", wintypes.DWORD),
        ("ids", ctypes.c_size_t * 256),
    )


class ProcessEntry(ctypes.Structure):
    """PROCESSENTRY32W."""

    _fields_ = (
        ("size", wintypes.DWORD),
        ("usage", wintypes.DWORD),
        ("process_id", wintypes.DWORD),
        ("heap", ctypes.c_size_t),
        ("module_id", wintypes.DWORD),
        ("threads", wintypes.DWORD),
        ("parent_id", wintypes.DWORD),
        ("priority", ctypes.c_long),
        ("flags", wintypes.DWORD),
        ("name", ctypes.c_wchar * 260),
    )
