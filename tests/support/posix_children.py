"""Children as process groups, with windows as a test wants them: a Windows host for tests of the programs that run children."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from programs.relay.child_process import ConfinedChild, ShownWindow


def no_windows() -> Sequence[ShownWindow]:
    """Return no windows, as on a host without a screen."""
    return ()


@dataclass(frozen=True)
class PosixChildHost:
    """Starts children as process groups. `shown` simulates the screen."""

    shown: Callable[[], Sequence[ShownWindow]] = no_windows

    def start(self, command: Sequence[str]) -> ConfinedChild:
        """Start one child in a session of its own."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(list(command), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
        return _ProcessGroup(process, self.shown)


class _ProcessGroup:
    def __init__(self, process: subprocess.Popen[bytes], shown: Callable[[], Sequence[ShownWindow]]) -> None:
        self.process = process
        self.shown = shown

    def windows(self) -> Sequence[ShownWindow]:
        return self.shown()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        self.kill()
