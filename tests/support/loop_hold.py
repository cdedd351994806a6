"""Measures the longest time that one callback held the event loop, in CPU time of the loop's thread: a busy machine does not lengthen it.

In a test's own loop: `with measuring() as holds: ...; assert holds.longest().seconds < 0.05`. In a real service:
`with serving_measured(folder) as (running, holds)`. The service then runs on asyncio's own loop, as uvloop's cannot be measured;
the callbacks are the same.
"""

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import running
from tests.support.other_objects import leave_out_other_objects
from tests.support.running import Running, serving

NOTED_S = 0.002  # shorter holds are not kept
LOOKED_AT_S = 0.02  # of longer ones, the line of code that runs then is kept
FILE = "loop_hold.tsv"
_OURS = ("/app/", "/programs/")


@dataclass(frozen=True, slots=True)
class Hold:
    """One callback: how long it held the loop, and the lines of code that ran meanwhile, if it was long enough to be seen."""

    seconds: float
    what: str


@dataclass(slots=True)
class Holds:
    """The holds of a loop in this process."""

    kept: list[Hold] = field(default_factory=list)

    def longest(self) -> Hold:
        """Return the longest one since the last `forget`."""
        return max(self.kept, key=lambda hold: hold.seconds, default=Hold(0.0, "nothing"))

    def forget(self) -> None:
        """Start again, for example after a start whose holds do not count."""
        self.kept.clear()


class HoldsInFile:
    """The holds of a service's loop, which it writes to a file."""

    def __init__(self, path: Path) -> None:
        self._path, self._start = path, 0

    def longest(self, without: Sequence[str] = ()) -> Hold:
        """Return the longest one since the last `forget`, without those in which one of these files or functions ran."""
        found = Hold(0.0, "nothing")
        for line in self._path.read_bytes()[self._start :].decode(errors="replace").splitlines():
            seconds, tab, what = line.partition("\t")
            if tab and float(seconds) > found.seconds and not any(name in what for name in without):
                found = Hold(float(seconds), what)
        return found

    def forget(self) -> None:
        """Start again, for example after a start whose holds do not count."""
        self._start = self._path.stat().st_size


@contextmanager
def measuring() -> Iterator[Holds]:
    """Measure the loop that runs in this thread, which must be asyncio's own."""
    holds = Holds()
    leave_out_other_objects()
    with _watching(holds.kept.append):
        yield holds


@contextmanager
def serving_measured(folder: Path, **settings: str) -> Iterator[tuple[Running, HoldsInFile]]:
    """Start a real service whose loop is measured."""
    started_by = running.SERVE
    running.SERVE = ["-m", "tests.support.loop_hold"]
    try:
        with serving(folder, **settings) as service:
            holds = HoldsInFile(folder / FILE)
            holds.forget()
            yield service, holds
    finally:
        running.SERVE = started_by


@contextmanager
def _watching(note: Callable[[Hold], None]) -> Iterator[None]:
    thread = threading.get_ident()
    clock = time.pthread_getcpuclockid(thread)
    started: list[float] = []  # when the callback that runs now started, in CPU time of this thread
    lines: list[str] = []
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        if threading.get_ident() != thread or started:
            run(handle)
            return
        begin = time.thread_time()
        started.append(begin)
        try:
            run(handle)
        finally:
            started.clear()
            seconds = time.thread_time() - begin
            if seconds > NOTED_S:
                note(Hold(seconds, " < ".join(dict.fromkeys(lines)) or _name_of(handle)))
            lines.clear()

    def look() -> None:
        while not stopped.wait(LOOKED_AT_S / 2):
            begin = started[0] if (running_now := started[:]) else 0.0
            if running_now and time.clock_gettime(clock) - begin > LOOKED_AT_S:
                seen = _lines_of(thread)
                if started[:] == running_now:  # the callback has not ended meanwhile
                    lines.extend(seen)

    stopped = threading.Event()
    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    asyncio.Handle._run = timed
    try:
        yield
    finally:
        asyncio.Handle._run = run
        stopped.set()
        watcher.join()


def _lines_of(thread: int) -> list[str]:
    """Return the innermost lines of our code that a thread runs, from the inside out."""
    frame = sys._current_frames().get(thread)
    stack = traceback.extract_stack(frame) if frame else []
    ours = [
        f"{Path(entry.filename).name}:{entry.lineno} {entry.name}"
        for entry in reversed(stack)
        if any(place in entry.filename for place in _OURS) and "site-packages" not in entry.filename
    ]
    return ours[:4]


def _name_of(handle: asyncio.Handle) -> str:
    """Name the callback; for a step of a task, its coroutine."""
    callback: Any = getattr(handle, "_callback", None)
    task = getattr(callback, "__self__", None)
    return task.get_coro().__qualname__ if isinstance(task, asyncio.Task) else getattr(callback, "__qualname__", "?")


def _serve() -> None:
    """Run `tocsin serve` and write its holds to a file in the current folder."""
    from uvicorn import config  # noqa: PLC0415  (only the service needs them)

    from app.cli.serve import serve  # noqa: PLC0415

    config.LOOP_FACTORIES["uvloop"] = config.LOOP_FACTORIES["asyncio"]
    with (
        Path(FILE).open("w", encoding="utf-8", buffering=1) as out,
        _watching(lambda hold: print(f"{hold.seconds:.6f}", hold.what.replace("\n", " "), sep="\t", file=out)),
    ):
        serve()


if __name__ == "__main__":
    _serve()
