"""Read and write the pipes of one child without ever waiting for it: threads do the work, the watcher takes what there is.

Memory is bounded: the watcher ends a child that prints without end or reads nothing.
"""

from __future__ import annotations

import contextlib
import queue
import subprocess
import threading
from typing import IO

from programs.relay.conversation import MAX_LINE

_MOST_WAITING = 64  # lines read and not yet taken: beyond that the reader waits, and so does the child
_TAIL = 4096  # bytes of stderr that are kept


class ChildPipes:
    """The three pipes of one child."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._lines: queue.Queue[bytes] = queue.Queue(_MOST_WAITING)
        self._orders: queue.Queue[bytes | None] = queue.Queue()
        self._errors = bytearray()
        self._closed = threading.Event()
        work = ((self._read, process.stdout), (self._write, process.stdin), (self._read_errors, process.stderr))
        self._threads = [threading.Thread(target=act, args=(pipe,), daemon=True) for act, pipe in work]
        for thread in self._threads:
            thread.start()

    def send(self, line: bytes) -> None:
        """Send a line soon, from another thread."""
        self._orders.put(line)

    def receive(self, seconds: float) -> bytes | None:
        """Return the next line, b"" at the end, or None if none came within `seconds`."""
        try:
            return self._lines.get(timeout=seconds)
        except queue.Empty:
            return None

    @property
    def errors(self) -> str:
        """The end of what the child wrote to stderr."""
        return bytes(self._errors).decode("utf-8", "replace").strip()

    def close(self) -> None:
        """End the threads; the child must have ended."""
        self._closed.set()
        self._orders.put(None)
        for thread in self._threads:
            thread.join(timeout=5)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _read(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := pipe.readline(MAX_LINE + 1):
                self._put(line)
        self._put(b"")

    def _put(self, line: bytes) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._lines.put(line, timeout=0.2)
                return

    def _write(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while (line := self._orders.get()) is not None:
                pipe.write(line)
                pipe.flush()

    def _read_errors(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while piece := pipe.read1(1024):  # type: ignore[attr-defined]  # Popen's pipes are buffered readers
                self._errors += piece
                del self._errors[:-_TAIL]
