"""Start a child process so that it and everything it starts end together; list the windows that they show.

On Windows a Job Object ends them all when its handle closes, also when this process is killed: without it a killed relay would leave
a child behind that holds the mail profile. Elsewhere, for tests, a process group with simulated windows takes its place. This module
does not know what is written to the pipes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from ctypes import wintypes
from dataclasses import dataclass
from typing import Any, Protocol

from programs.relay.windows_calls import ExtendedLimits, ProcessIds, function_type, last_error, library


@dataclass(frozen=True)
class ShownWindow:
    """A visible top-level window of the child or of a process that it started."""

    kind: str  # the window's class, such as `#32770` for a dialog
    title: str


class ConfinedChild(Protocol):
    """A started child. `kill` ends it with all that it started, and does not fail when it has ended already."""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The child itself, for its pipes and its end."""
        ...

    def windows(self) -> Sequence[ShownWindow]:
        """Return the visible top-level windows of the child and of the processes that it started."""
        ...

    def kill(self) -> None:
        """End them all at once."""
        ...

    def close(self) -> None:
        """Release the system's resources, which ends what still runs."""
        ...


class ChildHost(Protocol):
    """Starts children."""

    def start(self, command: Sequence[str]) -> ConfinedChild:
        """Start one child with pipes for stdin, stdout and stderr."""
        ...


def no_windows() -> Sequence[ShownWindow]:
    """Return no windows, as on a host without a screen."""
    return ()


@dataclass(frozen=True)
class PosixChildHost:
    """Starts children as process groups: for tests and trials on other systems. `shown` simulates the screen."""

    shown: Callable[[], Sequence[ShownWindow]] = no_windows

    def start(self, command: Sequence[str]) -> ConfinedChild:
        """Start one child in a session of its own."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(  # noqa: S603  (our own interpreter and program)
            list(command), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        return _ProcessGroup(process, self.shown)


class _ProcessGroup:
    def __init__(self, process: subprocess.Popen[bytes], shown: Callable[[], Sequence[ShownWindow]]) -> None:
        self.process = process
        self.shown = shown

    def windows(self) -> Sequence[ShownWindow]:
        return self.shown()

    def kill(self) -> None:
        if sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        self.kill()


_KILL_ON_CLOSE, _NO_ERROR_BOX = 0x2000, 0x400
_EXTENDED_LIMITS, _PROCESS_IDS = 9, 3
_NO_WINDOW = 0x08000000
_KILLED = 99
_MOST_WINDOWS = 10


class JobObjectRefused(Exception):
    """Windows would not put the child into a job object. The child is ended at once, as nothing else would surely end it."""


class WindowsChildHost:
    """Starts children, each in a job object of its own."""

    def start(self, command: Sequence[str]) -> ConfinedChild:
        """Start one child. It does nothing before it has its order, so it is in the job object before it can start anything."""
        job = _kernel().CreateJobObjectW(None, None)
        limits = ExtendedLimits()
        limits.basic.flags = _KILL_ON_CLOSE | _NO_ERROR_BOX
        if not job or not _kernel().SetInformationJobObject(
            job, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
        ):
            raise JobObjectRefused(f"CreateJobObject: error {last_error()}")
        pipe = subprocess.PIPE
        process = subprocess.Popen(  # noqa: S603  (our own interpreter and program)
            list(command), stdin=pipe, stdout=pipe, stderr=pipe, creationflags=_NO_WINDOW
        )
        handle = int(getattr(process, "_handle"))  # noqa: B009  (subprocess has no public name for it)
        if not _kernel().AssignProcessToJobObject(job, handle):
            error = last_error()
            process.kill()
            _kernel().CloseHandle(job)
            raise JobObjectRefused(f"AssignProcessToJobObject: error {error}")
        return _JobObject(process, int(job))


class _JobObject:
    def __init__(self, process: subprocess.Popen[bytes], job: int) -> None:
        self.process = process
        self._job = job

    def windows(self) -> Sequence[ShownWindow]:
        """Return the visible top-level windows of the job's processes, on this process's own desktop."""
        ids = ProcessIds()
        if not _kernel().QueryInformationJobObject(
            self._job, _PROCESS_IDS, ctypes.byref(ids), ctypes.sizeof(ids), None
        ):
            return ()
        process_ids = set(ids.ids[: min(ids.listed, len(ids.ids))])
        user = library("user32")
        user.EnumDesktopWindows.argtypes = (wintypes.HANDLE, ctypes.c_void_p, wintypes.LPARAM)
        user.GetWindowThreadProcessId.argtypes = (wintypes.HWND, ctypes.POINTER(wintypes.DWORD))
        user.IsWindowVisible.argtypes = (wintypes.HWND,)
        user.GetClassNameW.argtypes = (wintypes.HWND, wintypes.LPWSTR, ctypes.c_int)
        user.GetWindowTextW.argtypes = (wintypes.HWND, wintypes.LPWSTR, ctypes.c_int)
        seen: list[ShownWindow] = []

        @function_type(wintypes.BOOL, wintypes.HWND, wintypes.LPARAM)  # type: ignore[untyped-decorator]
        def look(window: int, _: int) -> bool:
            owner = wintypes.DWORD()
            user.GetWindowThreadProcessId(window, ctypes.byref(owner))
            if owner.value in process_ids and user.IsWindowVisible(window):
                kind, title = ctypes.create_unicode_buffer(256), ctypes.create_unicode_buffer(256)
                user.GetClassNameW(window, kind, 256)
                # A window of another process answers from its own copy of the title: a hung one cannot hang us.
                user.GetWindowTextW(window, title, 256)
                seen.append(ShownWindow(kind.value, title.value))
            return len(seen) < _MOST_WINDOWS

        with contextlib.suppress(OSError):
            user.EnumDesktopWindows(None, look, 0)
        return seen

    def kill(self) -> None:
        _kernel().TerminateJobObject(self._job, _KILLED)

    def close(self) -> None:
        job, self._job = self._job, 0
        if job:
            _kernel().CloseHandle(job)


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


def child_host() -> ChildHost:
    """Return where this system starts children."""
    if sys.platform == "win32":
        return WindowsChildHost()
    else:  # noqa: RET505  (mypy then judges either branch on its own system)
        return PosixChildHost()
