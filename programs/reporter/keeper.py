"""The reporter's second process (POSIX): passes the command's output on, and stays if the reporter is killed.

Without it the command would die with a killed reporter, as it would write into a pipe without a reader. It also outlives a reporter
that is done while a grandchild still prints. It must never stop passing the output on, whatever else fails.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import signal
from collections.abc import Sequence
from typing import NamedTuple

from programs.reporter.capture import OutputCapture, decode_output
from programs.reporter.command import TakeOver

ENDED, SAFE = (
    b"E",
    b"S",
)  # messages of the reporter: the command has ended; its outcome is on the disk or at the service
_PIECE = 64 * 1024
_PIPE_MOST = 1024 * 1024  # a pipe holds at most this: after reading so much since the end, all earlier output was read
_KEPT_FDS = 3


class OutputStream(NamedTuple):
    """One of the command's outputs: the pipe to read from, the descriptor to write to, and its name."""

    source: int
    sink: int
    name: str


class Keeper:
    """Passes the output on. `control` brings messages of the reporter; `answer` takes the captured output."""

    def __init__(self, control: int, answer: int, streams: Sequence[OutputStream]) -> None:
        self._control, self._answer = control, answer
        self._open = {stream.source: stream for stream in streams}
        self._capture = OutputCapture()
        self._selector = selectors.DefaultSelector()
        self._has_reporter, self._is_safe = True, False

    def keep(self) -> bool:
        """Work until no output is left and the reporter is gone. Return whether the reporter has all that there is to know."""
        for fd in (self._control, *self._open):
            os.set_blocking(fd, False)
            self._selector.register(fd, selectors.EVENT_READ)
        while self._has_reporter or self._open:
            for key, _ in self._selector.select():
                if key.fd == self._control:
                    self._read_control()
                elif key.fd in self._open:
                    self._carry(self._open[key.fd])
        return self._is_safe

    @property
    def capture(self) -> OutputCapture:
        """What was captured."""
        return self._capture

    def _read_control(self) -> None:
        message = _read(self._control)
        if message is None:
            return
        if SAFE in message:
            self._is_safe = True
        if ENDED in message:
            # Pass on what was in the pipes when the command ended. A grandchild may still write: that is not waited for.
            for stream in list(self._open.values()):
                carried = 0
                while stream.source in self._open and carried < _PIPE_MOST and (got := self._carry(stream)):
                    carried += got
            parts = self._capture.parts()
            data = b"%d %d %d\n" % tuple(len(part) for part in parts) + b"".join(parts)
            with contextlib.suppress(OSError):
                _write(self._answer, data)
            os.close(self._answer)
        if message == b"":
            self._has_reporter = False
            self._selector.unregister(self._control)

    def _carry(self, stream: OutputStream) -> int:
        """Pass on one piece and return its size, 0 if there is none now or never again."""
        data = _read(stream.source)
        if data is None:
            return 0
        if data:
            self._capture.feed(stream.name, data)
            try:
                _write(stream.sink, data)
            except BrokenPipeError:
                data = b""  # without a reader: the command must notice, as it would without us
            except OSError:
                pass  # a full disk under the log of a backup is no reason to end the backup
        if not data:
            self._selector.unregister(stream.source)
            del self._open[stream.source]
            os.close(stream.source)
            if stream.sink not in [stream.sink for stream in self._open.values()]:
                os.close(stream.sink)
        return len(data)


def run_keeper(control: int, answer: int, streams: Sequence[OutputStream], take_over: TakeOver) -> None:
    """Run as the keeper. Does not return."""
    try:
        # Leave the reporter's session, so that what ends it does not end us; keep no descriptor open that is not ours.
        os.setsid()
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(sign, signal.SIG_IGN)
        kept = [control, answer, *(fd for stream in streams for fd in (stream.source, stream.sink))]
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in range(_KEPT_FDS):
            if fd not in kept:
                os.dup2(nothing, fd)
        keeper = Keeper(control, answer, streams)
        if not keeper.keep():
            take_over(decode_output(keeper.capture.parts()))
    finally:
        os._exit(0)


def _read(fd: int) -> bytes | None:
    """Return what can be read; None if there is nothing now, empty at the end."""
    try:
        return os.read(fd, _PIECE)
    except BlockingIOError:
        return None
    except OSError as cause:
        if cause.errno == errno.EIO:
            return b""
        raise


def _write(fd: int, data: bytes) -> None:
    """Write everything, waiting for the reader. The parent may have made the descriptor non-blocking."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:  # noqa: PERF203  (as often as it takes)
            with selectors.DefaultSelector() as selector:
                selector.register(fd, selectors.EVENT_WRITE)
                selector.select()
