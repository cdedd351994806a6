"""Starts commands of `tocsin` as processes that need not load it again: loading takes two of the three seconds of a start.

Each is forked from a process that has loaded everything (tests/support/fork_server.py). With `--all` each is started from nothing, as
a user does it.
"""

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from tests.support.processes import StartedProcess, kill_family
from tests.support.sources import ROOT

RUN_S = 180
is_used = True  # set by tests/conftest.py


def start(
    command: list[str], folder: Path, environment: dict[str, str], out: IO[bytes], err: IO[bytes]
) -> StartedProcess:
    """Run a module in a folder, `["-m", "app.cli", "serve"]`, with its output to two open files."""
    if not is_used:
        return subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
    answers, answering = os.pipe()
    request = {"command": command, "folder": str(folder), "environment": environment}
    socket.send_fds(_fork_server(), [json.dumps(request).encode()], [out.fileno(), err.fileno(), answering])
    os.close(answering)
    return ForkedProcess(command, answers)


def run(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a module in a folder to its end, and return its output."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = start(command, folder, environment, out, err)
        try:
            code = process.wait(RUN_S)
        except subprocess.TimeoutExpired:
            kill_family(process)
            raise
        texts = [file.seek(0) or file.read().decode() for file in (out, err)]
    return subprocess.CompletedProcess(command, code, *texts)


class ForkedProcess:
    """A process that the fork server started. It is not our child: the fork server tells how it ended."""

    def __init__(self, command: list[str], answers: int) -> None:
        self._command, self._answers = command, os.fdopen(answers, "rb", buffering=0)
        self.pid = int(self._answers.readline())
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs. Minus the signal's number if a signal ended it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code. Raises subprocess.TimeoutExpired."""
        if self._code is None:
            if not select.select([self._answers], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self._command, timeout or 0)
            self._code = int(self._answers.readline())
            self._answers.close()
        return self._code

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


@functools.cache
def _fork_server() -> socket.socket:
    """Start the fork server, once in this process."""
    ours, its = socket.socketpair(type=socket.SOCK_SEQPACKET)  # keeps requests apart
    command = [sys.executable, "-m", "tests.support.fork_server"]
    with its:
        server = subprocess.Popen(command, cwd=ROOT, stdin=its, stdout=subprocess.DEVNULL)
    atexit.register(server.wait)
    atexit.register(ours.close)  # before: the server ends when nobody can send it requests any more
    return ours
