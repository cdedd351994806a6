"""Reads what may take long in processes of its own, so that no report delays the requests of others.

A thread would not do: it holds Python's GIL while it parses, and every request waits for that. A report that takes too long is given up;
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

from app.core.log import log
from app.intake.reading_child import LENGTH

T = TypeVar("T")

PROCESSES_MOST = 2
WAIT_S = 20.0  # for a process that is free: tools wait for our answer, and some stop the backup if it is late
ANSWER_S = 20.0  # the process itself stops after CPU_S of CPU time; a busy machine needs longer
_ANSWER_MOST = 512 * 1024 * 1024
# Our code is where this file is, whatever the current folder is.
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from app.intake.reading_child import main; main()"
_FOLDER = str(Path(__file__).parents[2])


class NotRead(Exception):
    """The work was given up: it took too long, or its process ended. The text says why, for the administrator."""


class ReadingProcesses:
    """Up to two processes, which are started when they are needed and stay. Those who wait take turns by sender."""

    def __init__(self) -> None:
        self._free: list[asyncio.subprocess.Process] = []
        self._busy: set[asyncio.subprocess.Process] = set()
        self._count = 0
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def run(self, sender: str, work: Callable[[], T]) -> T:
        """Return the result of `work`, a function without arguments that can be pickled. Raises NotRead."""
        call = pickle.dumps(work)
        try:
            async with asyncio.timeout(WAIT_S):
                await self._wait_for_turn(sender)
        except TimeoutError:
            raise NotRead("too many reports are being read") from None
        process = None
        try:
            process = await self._take()
            is_read, answer = await _ask(process, call)
            self._busy.discard(process)
            self._free.append(process)
            process = None
        except (OSError, TimeoutError, asyncio.IncompleteReadError, EOFError, pickle.UnpicklingError) as cause:
            log.error(
                "a process that reads reports was ended; the report is stored as far as it can be read",
                cause=repr(cause),
            )
            raise NotRead("it takes too long to read") from cause
        finally:
            if process is not None:  # also if the caller was cancelled: an answer would be that of the next call
                self._busy.discard(process)
                await _end(process)
            self._pass_turn()
        if not is_read:
            raise NotRead(str(answer))
        return cast(T, answer)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """End the processes with the block."""
        try:
            yield
        finally:
            for process in (*self._free, *self._busy):
                await _end(process)

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
        while self._free:
            process = self._free.pop()
            if process.returncode is None:
                self._busy.add(process)
                return process
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _PROGRAM,
            _FOLDER,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._busy.add(process)
        return process


async def _ask(process: asyncio.subprocess.Process, call: bytes) -> tuple[bool, object]:
    source, target = process.stdout, process.stdin
    if source is None or target is None:
        raise EOFError
    async with asyncio.timeout(ANSWER_S):
        target.write(LENGTH.pack(len(call)))
        target.write(call)
        await target.drain()
        (length,) = LENGTH.unpack(await source.readexactly(LENGTH.size))
        if length > _ANSWER_MOST:
            raise EOFError
        is_read, answer = pickle.loads(await source.readexactly(length))  # noqa: S301  (from our own code)
    return is_read, answer


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
