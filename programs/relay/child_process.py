"""Start a child process so that it and everything it starts end together; list the windows that they show.

A Job Object ends them all when its handle closes, also when this process is killed: without it a killed relay would leave a child
behind that holds the mail profile. This module does not know what is written to the pipes.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from programs.relay.windows_calls import NotWindows


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


StartChild = Callable[[Sequence[str]], ConfinedChild]  # starts one child with pipes for stdin, stdout and stderr


class JobObjectRefused(Exception):
    """Windows would not put the child into a job object. The child is ended at once, as nothing else would surely end it."""


if sys.platform == "win32":
    import pywintypes
    import win32gui
    import win32job
    import win32process

    _NO_WINDOW = 0x08000000
    _KILLED = 99
    _MOST_WINDOWS = 10

    def start_child(command: Sequence[str]) -> ConfinedChild:
        """Start one child. It does nothing before it has its order, so it is in the job object before it can start anything."""
        kind, pipe = win32job.JobObjectExtendedLimitInformation, subprocess.PIPE
        flags = win32job.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | win32job.JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION
        process = None
        try:
            job = win32job.CreateJobObject(None, "")
            limits = win32job.QueryInformationJobObject(job, kind)
            limits["BasicLimitInformation"]["LimitFlags"] = flags
            win32job.SetInformationJobObject(job, kind, limits)
            process = subprocess.Popen(  # noqa: S603  (our own interpreter and program)
                list(command), stdin=pipe, stdout=pipe, stderr=pipe, creationflags=_NO_WINDOW
            )
            # subprocess has no public name for its handle.
            win32job.AssignProcessToJobObject(job, int(process._handle))  # noqa: SLF001
        except pywintypes.error as refused:
            if process is not None:
                process.kill()
            raise JobObjectRefused(f"{refused.funcname}: {refused.strerror} ({refused.winerror})") from refused
        return _JobObject(process, job)

    class _JobObject:
        def __init__(self, process: subprocess.Popen[bytes], job: pywintypes.HANDLE) -> None:
            self.process = process
            self._job = job

        def windows(self) -> Sequence[ShownWindow]:
            """Return the visible top-level windows of the job's processes, on this process's own desktop."""
            process_ids = win32job.QueryInformationJobObject(self._job, win32job.JobObjectBasicProcessIdList)
            seen: list[ShownWindow] = []

            def look(window: int, _: object) -> bool:
                owner = win32process.GetWindowThreadProcessId(window)[1]
                if owner in process_ids and win32gui.IsWindowVisible(window) and len(seen) < _MOST_WINDOWS:
                    # A window of another process answers from its own copy of the title: a hung one cannot hang us.
                    seen.append(ShownWindow(win32gui.GetClassName(window), win32gui.GetWindowText(window)))
                return True

            with contextlib.suppress(pywintypes.error):  # a window that has just closed
                win32gui.EnumWindows(look, None)
            return seen

        def kill(self) -> None:
            with contextlib.suppress(pywintypes.error):
                win32job.TerminateJobObject(self._job, _KILLED)

        def close(self) -> None:
            self._job.Close()

else:

    def start_child(command: Sequence[str]) -> ConfinedChild:
        """Raise NotWindows."""
        raise NotWindows(f"a job object for {command[0]}")
