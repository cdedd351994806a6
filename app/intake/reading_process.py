"""Reads what may take long in processes of its own, so that no report and no large body of events delays the requests of others.

A thread would not do: it holds Python's GIL while it parses (up to 0.3 s for 16 MiB of JSON in one call), and every request waits for that. A report that takes too long is given up;
the caller then stores what can be read of it at once.
"""

import asyncio
import contextlib
import pickle
import sys
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar, cast

from app.core.errors import BadInput
from app.core.log import log
from app.intake.reading_child import CALL, CPU_S, LENGTH, Pieces, PiecesFollow, StoppedAfter, cpu_seconds

T = TypeVar("T")

PROCESSES_MOST = 2
WAIT_S = 20.0  # for a turn, and then for a process that is free or has started: tools wait for our answer, and some stop the backup if it is late
START_S = (
    120.0  # to load the words takes 1.5 s of CPU time; a small machine that starts everything at once needs far longer
)
IDLE_S = 120.0  # then a process ends that nobody used: it takes 60 MiB
ANSWER_S = 20.0  # for CPU_S of CPU time, at which the process itself stops; a busy machine needs longer
_ANSWER_MOST = 512 * 1024 * 1024
# Our code is where this file is, whatever the current folder is.
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from app.intake.reading_child import main; main()"
_FOLDER = str(Path(__file__).parents[2])


class NotRead(Exception):
    """The work was given up: it took too long, or its process ended. The text says why, for the administrator.

    `may_succeed_later`: the cause was not the work itself.
    """

    def __init__(self, why: str, *, may_succeed_later: bool = False) -> None:
        super().__init__(why)
        self.may_succeed_later = may_succeed_later


class ReadTooSlowly(NotRead):
    """The work took more CPU time than it may. The same work may succeed on a faster machine, or on this one when it is not busy."""


class ReadingProcesses:
    """Up to two processes, which are started when they are needed and end when nobody used them for `idle_s`.

    Those who wait take turns by sender.

    A process that starts goes on when nobody waits for it any more: otherwise, on a machine on which a start takes longer than
    tools wait, none would ever be there.
    """

    def __init__(self, *, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._free: list[asyncio.subprocess.Process] = []
        self._ends: dict[asyncio.subprocess.Process, asyncio.TimerHandle] = {}  # of those that are free
        self._ending: set[asyncio.Task[None]] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.subprocess.Process] = set()
        self._count = 0
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def run(self, sender: str, work: Callable[[], T], *, patience: float = 1.0) -> T:
        """Return the result of `work`, a function without arguments that can be pickled. Raises NotRead, and the BadInput that the work raises.

        `patience`: how many times as long as usual the work may take. A result of Pieces is loaded piece by piece.
        """
        call = pickle.dumps(work)
        try:
            async with asyncio.timeout(WAIT_S):
                await self._wait_for_turn(sender)
        except TimeoutError:
            raise NotRead("too many reports are being read", may_succeed_later=True) from None
        process = None
        try:
            try:
                async with asyncio.timeout(WAIT_S):
                    process = await self._take()
            except TimeoutError:
                raise NotRead("the process that reads it has not started yet", may_succeed_later=True) from None
            is_read, answer = await _ask(process, call, cpu_seconds(call, patience))
            self._busy.discard(process)
            self._keep(process)
            process = None
        except (OSError, TimeoutError, asyncio.IncompleteReadError, EOFError, pickle.UnpicklingError) as cause:
            log.error("a process that reads reports was ended", cause=repr(cause))
            raise NotRead("it takes too long to read, or its process ended", may_succeed_later=True) from cause
        finally:
            try:
                if process is not None:  # even if the caller was cancelled: an answer would be that of the next call
                    self._busy.discard(process)
                    await _end(process)
            finally:  # a caller that is cancelled again while the process ends must not keep its turn for ever
                self._pass_turn()
        if isinstance(answer, BadInput):
            raise answer
        if isinstance(answer, StoppedAfter):
            raise ReadTooSlowly(f"it takes too long to read: more than {answer.seconds:.0f} s of CPU time")
        if not is_read:
            raise NotRead(str(answer))
        return cast(T, answer)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """End the processes with the block."""
        try:
            yield
        finally:
            for start in self._starting:
                start.cancel()
            await asyncio.gather(*self._starting, return_exceptions=True)
            for end in self._ends.values():
                end.cancel()
            for process in (*self._free, *self._busy):
                await _end(process)
            await asyncio.gather(*self._ending)

    def _keep(self, process: asyncio.subprocess.Process) -> None:
        """Keep a process for the next report, and end it if none comes."""
        self._free.append(process)
        self._ends[process] = asyncio.get_running_loop().call_later(self._idle_s, self._end_unused, process)

    def _end_unused(self, process: asyncio.subprocess.Process) -> None:
        self._free.remove(process)
        del self._ends[process]
        end = asyncio.create_task(_end(process))
        self._ending.add(end)
        end.add_done_callback(self._ending.discard)

    async def _wait_for_turn(self, sender: str) -> None:
        if self._count < PROCESSES_MOST:
            self._count += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(sender, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_turn()
            raise

    def _pass_turn(self) -> None:
        """Let the first one go on of the sender that was served least recently."""
        while self._waiting:
            sender, turns = next(iter(self._waiting.items()))
            turn = turns.popleft()
            if turns:
                self._waiting.move_to_end(sender)
            else:
                del self._waiting[sender]
            if not turn.done():
                turn.set_result(None)
                return
        self._count -= 1

    async def _take(self) -> asyncio.subprocess.Process:
        while True:
            while self._free:
                process = self._free.pop()
                self._ends.pop(process).cancel()
                if process.returncode is None:
                    self._busy.add(process)
                    return process
            if len(self._busy) + len(self._starting) < PROCESSES_MOST:
                start = asyncio.create_task(self._start())
                self._starting.add(start)
                start.add_done_callback(self._note_start)
            started, _ = await asyncio.wait(self._starting, return_when=asyncio.FIRST_COMPLETED)
            for start in started:
                start.result()

    def _note_start(self, start: asyncio.Task[None]) -> None:
        self._starting.discard(start)
        if not start.cancelled() and (cause := start.exception()) is not None:  # perhaps nobody waits for it any more
            log.error("a process that reads reports did not start", cause=repr(cause))

    async def _start(self) -> None:
        """Start a process, and add it to those that are free when it is ready."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _PROGRAM,
            _FOLDER,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        is_ready = False
        try:
            async with asyncio.timeout(START_S):
                is_ready = process.stdout is not None and len(await process.stdout.readexactly(LENGTH.size)) > 0
        finally:
            if not is_ready:
                await _end(process)
        self._keep(process)


async def _ask(process: asyncio.subprocess.Process, call: bytes, cpu_s: float) -> tuple[bool, object]:
    source, target = process.stdout, process.stdin
    if source is None or target is None:
        raise EOFError
    async with asyncio.timeout(ANSWER_S / CPU_S * cpu_s):
        target.write(CALL.pack(len(call), cpu_s))
        target.write(call)
        await target.drain()
        is_read, answer = pickle.loads(await _read_frame(source))  # noqa: S301  (from our own code)
        if isinstance(answer, PiecesFollow):
            pieces = []
            for _ in range(answer.count):
                pieces.append(pickle.loads(await _read_frame(source)))  # noqa: S301  (from our own code)
                await asyncio.sleep(0)  # what follows may be here already
            answer = Pieces(pieces)
    return is_read, answer


async def _read_frame(source: asyncio.StreamReader) -> bytes:
    (length,) = LENGTH.unpack(await source.readexactly(LENGTH.size))
    if length > _ANSWER_MOST:
        raise EOFError
    return await source.readexactly(length)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
