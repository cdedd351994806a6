"""How a command is run and how it ends, on any system. posix_child.py and windows_child.py run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from programs.reporter.capture import CapturedOutput


class CommandEnd(NamedTuple):
    """How a command ended: by an exit code, or by a signal (else 0). `peak_memory` in bytes, 0 if it is not known.

    `is_interrupted`: somebody at the terminal pressed the key to interrupt it.
    """

    exit_code: int
    signal: int = 0
    peak_memory: int = 0
    is_interrupted: bool = False


class CannotStart(Exception):
    """The command cannot be run; `exit_code` is a shell's exit code for that, the text says why."""

    def __init__(self, exit_code: int, reason: str) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


# Called in another process with the command's output, if the reporter was killed and its command has ended.
TakeOver = Callable[[CapturedOutput], None]


class CommandChild(Protocol):
    """One running command."""

    def start(self) -> None:
        """Start it. Raises CannotStart."""

    def wait(self) -> CommandEnd:
        """Wait for its end, and pass signals on to it meanwhile."""

    def collect(self, patience_s: float) -> CapturedOutput:
        """Return its output once all of it has been passed on, or after `patience_s` seconds."""

    def release(self) -> None:
        """Announce that its outcome is safe: no other process needs to take over."""

    def leave(self, ended: CommandEnd) -> None:
        """End this process as the command ended. Does not return."""
