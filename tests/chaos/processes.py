"""Programs of ours as processes of their own, which are killed without a word and started again on the same port and data."""

import asyncio
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.sources import ROOT

TAIL = 60
DEFECTS = ("defect of ours", "tried alone", "set aside", "did not stop in time", "could not be written; its message")


@dataclass(slots=True)
class Program:
    """`tocsin WORD`. What it says goes to a file, one for all its lives."""

    word: str
    name: str
    environment: dict[str, str]
    log: Path
    kills: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def lives(self) -> bool:
        """Whether it runs now."""
        return self._process is not None and self._process.poll() is None

    @property
    def ended_by_itself(self) -> bool:
        """Whether it ended and was not killed: nothing that we do here may make it give up."""
        return self._process is not None and self._process.poll() is not None

    def start(self) -> None:
        """Start it; it needs seconds until it serves."""
        command = [sys.executable, "-m", "app.cli", self.word]
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    def kill(self) -> None:
        """`kill -9`."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)
        self._process = None
        self.kills += 1

    async def stop(self) -> int:
        """SIGTERM; give the exit status."""
        assert self._process is not None
        process, self._process = self._process, None
        process.terminate()
        try:
            return await asyncio.to_thread(process.wait, 30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
            return -signal.SIGKILL

    def defects(self) -> list[str]:
        """Give the lines that admit a defect: what heals it must not hide it."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if any(word in line for word in DEFECTS)]

    def last_words(self) -> str:
        """Give the end of what it said."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"--- {self.name}", *lines[-TAIL:]])
