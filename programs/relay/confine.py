"""Starts a child so that it and all it starts end together; says which windows they show. The fake windows for tests are here too.

Knows nothing of what is said over the pipes. The Windows part is programs/relay/confine_windows.py.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Window:
    """A visible top-level window of the child or of what it started."""

    kind: str  # the window's class, as `#32770` for a dialog
    title: str


class Confined(Protocol):
    """A started child. `kill` ends it with all that it started and does not fail when it has ended already."""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The child itself, for its pipes and its end."""
        ...

    def windows(self) -> Sequence[Window]:
        """Give the visible top-level windows of the child and of what it started."""
        ...

    def kill(self) -> None:
        """End them all at once."""
        ...

    def close(self) -> None:
        """Give back what the system lent, which ends what still runs."""
        ...


class Host(Protocol):
    """Where children are started."""

    def start(self, command: Sequence[str]) -> Confined:
        """Start one child with pipes for stdin, stdout and stderr."""
        ...


def no_windows() -> Sequence[Window]:
    """Say that nothing shows, as on a host without a screen."""
    return ()


@dataclass(frozen=True)
class PosixHost:
    """Children as process groups: for tests and trials away from Windows. `windows` plays the screen."""

    shown: Callable[[], Sequence[Window]] = no_windows

    def start(self, command: Sequence[str]) -> Confined:
        """Start one child in a session of its own."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(  # noqa: S603  (our own interpreter and program)
            list(command), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        return _Group(process, self.shown)


class _Group:
    def __init__(self, process: subprocess.Popen[bytes], shown: Callable[[], Sequence[Window]]) -> None:
        self.process = process
        self.shown = shown

    def windows(self) -> Sequence[Window]:
        return self.shown()

    def kill(self) -> None:
        if sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        self.kill()
