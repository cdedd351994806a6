"""Run a command on Windows with its own console, exit code and input; threads pass its output on.

Unlike on POSIX there is no second process: if the reporter is killed, the command notices at its next output.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from programs.reporter.capture import ERR, OUT, CapturedOutput, OutputCapture, decode_output
from programs.reporter.command import CannotStart, CommandEnd
from programs.reporter.outcome import NOT_FOUND, NOT_RUNNABLE

_CONTROL_C = 0xC000013A  # STATUS_CONTROL_C_EXIT
_LOOK_S = 0.5  # between two readings of its memory: not every system reports it after the process ended
_PIECE = 64 * 1024


class WindowsChild:
    """One command, and the threads that pass its output on."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._capture = OutputCapture()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start it. Raises CannotStart."""
        found = shutil.which(self._command[0])
        if found is None:
            raise CannotStart(NOT_FOUND, f"{self._command[0]}: not found")
        for name in (
            "SIGINT",
            "SIGBREAK",
        ):  # Ctrl-C reaches all processes of the console: the command decides what to do
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        piped: dict[str, int] = {}
        for stream, fd in (("stdout", 1), ("stderr", 2)):
            with contextlib.suppress(OSError):  # closed: nothing to pass on to
                if not os.isatty(fd):
                    piped[stream] = subprocess.PIPE
        try:
            self._process = subprocess.Popen([found, *self._command[1:]], close_fds=False, **piped)  # type: ignore[call-overload]  # noqa: S603  (running it is the purpose)
        except OSError as cause:
            raise CannotStart(NOT_RUNNABLE, f"{self._command[0]}: {cause.strerror}") from cause
        for pipe, sink, name in ((self._process.stdout, 1, OUT), (self._process.stderr, 2, ERR)):
            if pipe is not None:
                thread = threading.Thread(target=self._carry, args=(pipe.fileno(), sink, name), daemon=True)
                thread.start()
                self._threads.append(thread)

    def wait(self) -> CommandEnd:
        """Wait for its end."""
        if self._process is None:
            raise RuntimeError("not started")
        process, peak = self._process, 0
        while process.returncode is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_S)
            peak = max(peak, _peak_memory(process))
        code = process.returncode
        return CommandEnd(code, 0, peak, is_interrupted=code & 0xFFFFFFFF == _CONTROL_C)

    def collect(self, patience_s: float) -> CapturedOutput:
        """Return its output."""
        deadline = time.monotonic() + patience_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            return decode_output(self._capture.parts())

    def release(self) -> None:
        """Do nothing: no other process waits to take over."""

    def leave(self, ended: CommandEnd) -> None:
        """End with its exit code. Does not return."""
        code = ended.exit_code & 0xFFFFFFFF
        os._exit(code - 2**32 if code >= 2**31 else code)

    def _carry(self, source: int, sink: int, name: str) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(source, _PIECE):
                with self._lock:
                    self._capture.feed(name, data)
                with contextlib.suppress(OSError):
                    left = data
                    while left:
                        left = left[os.write(sink, left) :]


def _peak_memory(process: subprocess.Popen[bytes]) -> int:
    """Ask for the largest working set so far."""
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415  (Windows only)
        from ctypes import wintypes  # noqa: PLC0415

        size = ctypes.sizeof(ctypes.c_size_t)
        counters = (ctypes.c_char * (8 + 8 * size))()  # PROCESS_MEMORY_COUNTERS: two DWORDs, then eight SIZE_Ts
        counters[:4] = len(counters).to_bytes(4, "little")
        ask = ctypes.windll.kernel32.K32GetProcessMemoryInfo
        if ask(wintypes.HANDLE(int(process._handle)), counters, len(counters)):  # noqa: SLF001  (there is no other way to get it)
            return int.from_bytes(bytes(counters[8 : 8 + size]), "little")
    return 0
