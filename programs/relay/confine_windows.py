"""Children in a Job Object that ends them all when its handle closes, whatever becomes of this process; and their windows.

For Windows only. Without the job a killed relay would leave a child behind that holds the mail profile.
"""

from __future__ import annotations

import contextlib
import ctypes
import subprocess
from collections.abc import Iterator, Sequence
from ctypes import wintypes
from typing import Any

from programs.relay.confine import Confined, Window
from programs.relay.windows_calls import ExtendedLimits, ProcessIds, function_type, last_error, library

_KILL_ON_CLOSE, _NO_ERROR_BOX = 0x2000, 0x400
_EXTENDED_LIMITS, _PROCESS_IDS = 9, 3
_NO_WINDOW = 0x08000000
_KILLED = 99
_MOST_WINDOWS = 10


class JobRefused(Exception):
    """Windows would not put the child into a job: it is ended at once, as nothing else would end it for certain."""


class WindowsHost:
    """Starts children, each in a job of its own."""

    def start(self, command: Sequence[str]) -> Confined:
        """Start one child. It does nothing before it has its order, so it is in the job before it can start anything."""
        job = _make_job()
        pipe = subprocess.PIPE
        process = subprocess.Popen(  # noqa: S603  (our own interpreter and program)
            list(command), stdin=pipe, stdout=pipe, stderr=pipe, creationflags=_NO_WINDOW
        )
        handle = int(getattr(process, "_handle"))  # noqa: B009  (subprocess has no public name for it)
        if not _kernel().AssignProcessToJobObject(job, handle):
            error = last_error()
            process.kill()
            _kernel().CloseHandle(job)
            raise JobRefused(f"AssignProcessToJobObject: error {error}")
        return _Job(process, job)


class _Job:
    def __init__(self, process: subprocess.Popen[bytes], job: int) -> None:
        self.process = process
        self._job = job

    def windows(self) -> Sequence[Window]:
        ids = ProcessIds()
        if not _kernel().QueryInformationJobObject(
            self._job, _PROCESS_IDS, ctypes.byref(ids), ctypes.sizeof(ids), None
        ):
            return ()
        return list(_windows_of(set(ids.ids[: min(ids.listed, len(ids.ids))])))

    def kill(self) -> None:
        _kernel().TerminateJobObject(self._job, _KILLED)

    def close(self) -> None:
        job, self._job = self._job, 0
        if job:
            _kernel().CloseHandle(job)


def _make_job() -> int:
    job = _kernel().CreateJobObjectW(None, None)
    limits = ExtendedLimits()
    limits.basic.flags = _KILL_ON_CLOSE | _NO_ERROR_BOX
    if not job or not _kernel().SetInformationJobObject(
        job, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
    ):
        raise JobRefused(f"CreateJobObject: error {last_error()}")
    return int(job)


def _windows_of(process_ids: set[int]) -> Iterator[Window]:
    """Give the visible top-level windows of these processes, on this process's own desktop."""
    seen: list[Window] = []
    user = _user()

    @function_type(wintypes.BOOL, wintypes.HWND, wintypes.LPARAM)  # type: ignore[untyped-decorator]
    def look(window: int, _: int) -> bool:
        owner = wintypes.DWORD()
        user.GetWindowThreadProcessId(window, ctypes.byref(owner))
        if owner.value in process_ids and user.IsWindowVisible(window):
            kind, title = ctypes.create_unicode_buffer(256), ctypes.create_unicode_buffer(256)
            user.GetClassNameW(window, kind, 256)
            # A window of another process answers from its own copy of the title: a hung one cannot hang us.
            user.GetWindowTextW(window, title, 256)
            seen.append(Window(kind.value, title.value))
        return len(seen) < _MOST_WINDOWS

    with contextlib.suppress(OSError):
        user.EnumDesktopWindows(None, look, 0)
    yield from seen


def _kernel() -> Any:  # noqa: ANN401  (ctypes.WinDLL)
    kernel = library("kernel32")
    handle, pointer, number = wintypes.HANDLE, ctypes.c_void_p, wintypes.DWORD
    kernel.CreateJobObjectW.restype = handle
    kernel.CreateJobObjectW.argtypes = (pointer, ctypes.c_wchar_p)
    kernel.SetInformationJobObject.argtypes = (handle, ctypes.c_int, pointer, number)
    kernel.QueryInformationJobObject.argtypes = (handle, ctypes.c_int, pointer, number, pointer)
    kernel.AssignProcessToJobObject.argtypes = (handle, handle)
    kernel.TerminateJobObject.argtypes = (handle, wintypes.UINT)
    kernel.CloseHandle.argtypes = (handle,)
    return kernel


def _user() -> Any:  # noqa: ANN401  (ctypes.WinDLL)
    user = library("user32")
    user.EnumDesktopWindows.argtypes = (wintypes.HANDLE, ctypes.c_void_p, wintypes.LPARAM)
    user.GetWindowThreadProcessId.argtypes = (wintypes.HWND, ctypes.POINTER(wintypes.DWORD))
    user.IsWindowVisible.argtypes = (wintypes.HWND,)
    user.GetClassNameW.argtypes = (wintypes.HWND, wintypes.LPWSTR, ctypes.c_int)
    user.GetWindowTextW.argtypes = (wintypes.HWND, wintypes.LPWSTR, ctypes.c_int)
    return user
