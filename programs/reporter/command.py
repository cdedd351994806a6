"""What running a command gives, on any system. The doing is in posix_child.py and windows_child.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from programs.reporter.capture import CapturedOutput


@dataclass(frozen=True)
class CommandEnd:
    """How a command ended: by an exit code, or by a signal (else 0). `peak_memory` in bytes, 0 if it is not known.

    `is_interrupted`: somebody at the terminal pressed the key for it.
    """

    exit_code: int
    signal: int = 0
    peak_memory: int = 0
    is_interrupted: bool = False


class CannotStart(Exception):
    """The command cannot be run; `exit_code` is what a shell gives then, the text says why."""

    def __init__(self, exit_code: int, words: str) -> None:
        super().__init__(words)
        self.exit_code = exit_code


# Called in another process if the reporter was killed and its command has ended: with what the command printed.
TakeOver = Callable[[CapturedOutput], None]


class CommandChild(Protocol):
    """One command under way."""

    def start(self) -> None:
        """Start it. Raises CannotStart."""

    def wait(self) -> CommandEnd:
        """Wait for its end, passing signals on to it meanwhile."""

    def collect(self, patience_s: float) -> CapturedOutput:
        """Give its output, once all that it printed has gone where it belongs, or after `patience_s`."""

    def release(self) -> None:
        """Say that its outcome is safe: nobody needs to take over."""

    def leave(self, ended: CommandEnd) -> None:
        """End this process as the command ended. Does not return."""
