"""Run a command on Linux and macOS with the terminal, signals, exit code and resources that it would have without the reporter."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import selectors
import signal
import stat
import sys
import time
from collections.abc import Sequence

from programs.reporter import keeper
from programs.reporter.capture import BOTH, ERR, OUT, CapturedOutput, decode_output
from programs.reporter.command import CannotStart, CommandEnd, TakeOver
from programs.reporter.keeper import OutputStream
from programs.reporter.outcome import NOT_FOUND, NOT_RUNNABLE
from programs.reporter.settings import environment

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_FROM_KERNEL = 0x80  # SI_KERNEL of Linux: a key of the terminal, whose whole group has already received the signal
_RELEASE_S = 0.5
_MOST = 1024 * 1024


class PosixChild:
    """One command, and the keeper of its output."""

    def __init__(self, command: Sequence[str], take_over: TakeOver) -> None:
        self._command, self._take_over = list(command), take_over
        self._pid = self._keeper = 0
        self._control = self._answer = -1
        self._is_interrupted = False

    def start(self) -> None:
        """Start the keeper, then the command. Raises CannotStart."""
        is_open = []
        for fd in range(3):
            try:
                os.fstat(fd)
            except OSError:  # noqa: PERF203  (three descriptors)
                os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, this one: no pipe of ours may get it
                is_open.append(False)
            else:
                is_open.append(True)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [*PASSED_ON, signal.SIGCHLD])
        signal.signal(signal.SIGCHLD, lambda *_: None)  # an ignored SIGCHLD would never wake us
        try:
            ends = self._start_keeper([fd for fd in (1, 2) if is_open[fd] and not os.isatty(fd)])
        except OSError:  # no more processes or files for us: then the command prints directly to its outputs
            ends = {}
        actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, end, fd) for fd, end in ends.items()]
        actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in range(3) if not is_open[fd]]
        try:
            self._pid = _spawn(self._command, actions, mask)
        finally:
            for fd in set(ends.values()):
                os.close(fd)
        with contextlib.suppress(OSError):
            # Close the command's input and output in this process: their readers must see the end when the command ends.
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 0)
            os.dup2(nothing, 1)
            os.close(nothing)

    def _start_keeper(self, fds: Sequence[int]) -> dict[int, int]:
        """Start the keeper of these outputs. Return for each the end of the pipe that the command writes to."""
        streams: list[OutputStream] = []
        ends: dict[int, int] = {}
        if len(fds) == 2 and os.path.samestat(os.fstat(1), os.fstat(2)) and not stat.S_ISCHR(os.fstat(1).st_mode):  # noqa: PLR2004
            # Both go to the same place: through two pipes their lines could change their order.
            source, end = os.pipe()
            streams, ends = [OutputStream(source, os.dup(1), BOTH)], {1: end, 2: end}
        else:
            for fd in fds:
                source, ends[fd] = os.pipe()
                streams.append(OutputStream(source, os.dup(fd), OUT if fd == 1 else ERR))
        control, control_end = os.pipe()
        answer_end, answer = os.pipe()
        pid = os.fork()
        if pid == 0:
            for fd in (control_end, answer_end, *ends.values()):
                with contextlib.suppress(OSError):
                    os.close(fd)
            keeper.run_keeper(control, answer, streams, self._take_over)
        for fd in (control, answer, *(fd for stream in streams for fd in (stream.source, stream.sink))):
            os.close(fd)
        self._keeper, self._control, self._answer = pid, control_end, answer_end
        return ends

    def wait(self) -> CommandEnd:
        """Wait for its end, and pass on the signals that it did not get itself."""
        while True:
            pid, status, used = os.wait4(self._pid, os.WNOHANG)
            if pid:
                break
            sign, is_from_terminal = _next_signal()
            if is_from_terminal:
                self._is_interrupted = self._is_interrupted or sign == signal.SIGINT
            elif sign != signal.SIGCHLD:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, sign)
        # Never less than our own use: Linux counts from before the command replaced the copy of our process.
        peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        if os.WIFSIGNALED(status):
            return CommandEnd(0, os.WTERMSIG(status), peak, self._is_interrupted)
        return CommandEnd(os.WEXITSTATUS(status), 0, peak, self._is_interrupted)

    def collect(self, patience_s: float) -> CapturedOutput:
        """Ask the keeper for the output; return none if it does not answer in time."""
        deadline, data = time.monotonic() + patience_s, b""
        with contextlib.suppress(OSError):
            os.write(self._control, keeper.ENDED)
            with selectors.DefaultSelector() as selector:
                selector.register(self._answer, selectors.EVENT_READ)
                while selector.select(max(0.0, deadline - time.monotonic())):
                    piece = os.read(self._answer, 65536)
                    if not piece or len(data) > _MOST:
                        break
                    data += piece
        head, _, rest = data.partition(b"\n")
        sizes = [int(word) for word in head.split()]
        if len(sizes) != 3 or sum(sizes) != len(rest):  # noqa: PLR2004  (log, out, err)
            return CapturedOutput()
        return decode_output([rest[: sizes[0]], rest[sizes[0] : sizes[0] + sizes[1]], rest[sizes[0] + sizes[1] :]])

    def release(self) -> None:
        """Tell the keeper that the outcome is safe, and wait for its end; it stays if a grandchild still prints."""
        if not self._keeper:
            return
        with contextlib.suppress(OSError):
            os.write(self._control, keeper.SAFE)
        os.close(self._control)
        end = time.monotonic() + _RELEASE_S
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(self._keeper, os.WNOHANG)[0] == 0 and time.monotonic() < end:
                time.sleep(0.005)

    def leave(self, ended: CommandEnd) -> None:
        """End as the command did: by the same signal, so that a shell sees the same end. Does not return."""
        if ended.signal:
            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
            with contextlib.suppress(OSError):
                signal.signal(ended.signal, signal.SIG_DFL)
            os.kill(os.getpid(), ended.signal)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [ended.signal])
        os._exit(128 + ended.signal if ended.signal else ended.exit_code)


def _spawn(command: Sequence[str], actions: Sequence[tuple[int, ...]], mask: set[int]) -> int:
    arguments = list(command)
    options = {"file_actions": actions, "setsigmask": mask, "setsigdef": [signal.SIGPIPE, signal.SIGXFSZ]}
    try:
        try:
            return os.posix_spawnp(arguments[0], arguments, environment(), **options)  # type: ignore[arg-type]
        except OSError as cause:
            if cause.errno != errno.ENOEXEC:
                raise
            return os.posix_spawn("/bin/sh", ["sh", *arguments], environment(), **options)  # type: ignore[arg-type]  # as a shell does
    except FileNotFoundError as cause:
        raise CannotStart(NOT_FOUND, f"{arguments[0]}: not found") from cause
    except (OSError, ValueError) as cause:
        raise CannotStart(NOT_RUNNABLE, f"{arguments[0]}: {getattr(cause, 'strerror', None) or cause}") from cause


def _next_signal() -> tuple[int, bool]:
    """Wait for a signal; return it, and whether the command has received it, too."""
    wanted = [*PASSED_ON, signal.SIGCHLD]
    if sys.platform == "linux":
        info = signal.sigwaitinfo(wanted)
        return info.si_signo, info.si_code == _FROM_KERNEL
    else:  # noqa: RET505  (mypy then checks each branch for its own system)
        sign = signal.sigwait(wanted)
        is_from_terminal = False
        if sign in (signal.SIGINT, signal.SIGQUIT):
            # The sender is unknown: it was a key of the terminal, such as Ctrl-C, if such a key reaches our process group.
            with contextlib.suppress(OSError), open("/dev/tty", "rb") as terminal:  # noqa: PTH123
                is_from_terminal = os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
        return sign, is_from_terminal
