"""Our programs as separate processes, which are killed with SIGKILL and started again on the same port and data."""

import asyncio
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.sources import ROOT

TAIL = 60
STOP_S = 90  # a server waits ten seconds for its requests, and then for its own tasks; a busy machine needs several times that
BUG_LINES = (
    "defect of ours",
    "tried alone",
    "was set aside",
    "did not stop in time",
    "could not be written; its message",
)


@dataclass(slots=True)
class Program:
    """`tocsin WORD`. Its output is appended to one file over all its starts."""

    word: str
    name: str
    environment: dict[str, str]
    log: Path
    kills: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def is_running(self) -> bool:
        """Whether it is running now."""
        return self._process is not None and self._process.poll() is None

    @property
    def ended_by_itself(self) -> bool:
        """Whether it ended without being killed: no fault in these tests may end a program."""
        return self._process is not None and self._process.poll() is not None

    def start(self) -> None:
        """Start it. It serves some seconds later."""
        command = [sys.executable, "-m", "app.cli", self.word]
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)
        self._process = None
        self.kills += 1

    async def stop(self) -> int:
        """Send SIGTERM and return the exit status."""
        assert self._process is not None
        process, self._process = self._process, None
        process.terminate()
        try:
            return await asyncio.to_thread(process.wait, STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
            return -signal.SIGKILL

    def defects(self) -> list[str]:
        """Return what the log says of each bug: a bug that a retry repairs must still be noticed."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        places = [place for place, line in enumerate(lines) if any(word in line for word in BUG_LINES)]
        return ["\n".join(lines[place : place + TAIL]) for place in places]  # with the traceback that follows

    def end_of_log(self) -> str:
        """Return the end of its output."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"--- {self.name}", *lines[-TAIL:]])
