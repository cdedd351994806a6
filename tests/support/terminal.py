"""Runs `tocsin` on a pseudo-terminal and answers its questions, as a person does."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import kill_family
from tests.support.running import environment

PATIENCE_S = 40


class Terminal:
    """A running command. `shown` is everything that it has printed."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self._process = process
        self._master = master
        self._seen = 0
        self.shown = ""

    def answer(self, question: str, text: str) -> None:
        """Wait for a question and type a line.

        A prompt ends with a blank: for a password, only then does the terminal stop to show what is typed.
        """
        self.expect(question)
        end = time.monotonic() + PATIENCE_S
        while not self.shown.endswith(" ") and self._read(end):
            pass
        os.write(self._master, text.encode() + b"\n")

    def expect(self, text: str) -> None:
        """Wait until `text` is shown, after what was waited for before. Raises AssertionError with what is shown instead."""
        end = time.monotonic() + PATIENCE_S
        while (found := self.shown.find(text, self._seen)) < 0:
            if not self._read(end):
                raise AssertionError(
                    f"{text!r} was not shown, but:\n{self.shown[self._seen :]}\n--- after:\n{self.shown[: self._seen]}"
                )
        self._seen = found + len(text)

    def interrupt(self) -> None:
        """Send what a terminal sends for Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Wait for the end of the command and return its exit code."""
        end = time.monotonic() + PATIENCE_S
        while self._read(end):
            pass
        return self._process.wait(PATIENCE_S)

    def _read(self, until: float) -> bool:
        """Read what is shown next. False at the end of the command, or when the time is over."""
        readable, _, _ = select.select([self._master], [], [], max(0.0, until - time.monotonic()))
        with contextlib.suppress(OSError):  # Linux reports the end of the other side as EIO
            if readable and (data := os.read(self._master, 65536)):
                self.shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode("utf-8", "replace")).replace(
                    "\r\n", "\n"
                )
                return True
        return False


@contextmanager
def terminal(folder: Path, *words: str, **settings: str) -> Iterator[Terminal]:
    """Run `tocsin` with these words in `folder`, on a terminal of its own."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", *words],
        cwd=folder,
        env=environment(**settings) | {"TERM": "dumb", "COLUMNS": "200"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            kill_family(process)
        os.close(master)
