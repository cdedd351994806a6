"""Runs a tick again and again, woken by an event or by the clock. A tick that fails is logged and tried again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.core import metrics
from app.core.errors import CannotWrite, Unavailable
from app.core.log import log

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
CANCEL_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Idle:
    """What a tick returns that found nothing and knows that nothing falls due within `wait`. It is false, like "nothing more to do"."""

    wait: timedelta

    def __bool__(self) -> bool:
        """Return False: there is nothing more to do."""
        return False


@contextlib.asynccontextmanager
async def run_in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run endless `work` as a task while the block runs, and cancel it with the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        while not task.done():
            task.cancel()
            # Again and again: on Python 3.11, asyncio.wait_for, which libraries use, loses a cancellation that comes as its work ends.
            await asyncio.wait([task], timeout=CANCEL_AGAIN_S)
        if not task.cancelled():
            task.result()


async def keep_repeating(act: Callable[[], Awaitable[None]], *, name: str, every: float) -> None:
    """Call `act` every so many seconds, for ever. A failure is logged, and the next call is made all the same."""
    while True:
        await asyncio.sleep(every)
        try:
            await act()
        except Exception as error:  # noqa: BLE001  (an error boundary: nobody would notice that it ended)
            log.error("background work failed, it is tried again", work=name, after_s=every, exc_info=error)


async def wait_through_cancellations(work: asyncio.Task[Any], seconds: float) -> None:
    """Wait for the end of `work`, for some seconds at most. Who stops a worker cancels it again and again (`run_in_background`)."""
    end = asyncio.get_running_loop().time() + seconds
    while not work.done() and (left := end - asyncio.get_running_loop().time()) > 0:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([work], timeout=left)


async def keep_ticking(
    tick: Callable[[], Awaitable[bool | Idle]],
    *,
    name: str,
    stopping: asyncio.Event,
    every: float,
    wake: asyncio.Event | None = None,
    after: float = 0.0,
    longest_pause: float = LONGEST_PAUSE_S,
) -> None:
    """Call `tick` at once or `after` seconds, again while it returns that there may be more to do, then when `wake` is set or after `every` seconds.

    A tick that found nothing may return `Idle`: how long to wait for `wake` instead of `every`.
    A tick that fails is logged with its cause and tried again after 1 s, 2 s ... `longest_pause`. Ends when `stopping` is set, between two ticks.
    """
    metrics.CURRENT_STAGE.set(name)
    if after:
        await first_of(stopping, timeout=after)
    pause = FIRST_PAUSE_S
    while not stopping.is_set():
        if wake is not None:
            wake.clear()  # before the tick, so that an event that is set during the tick starts the next one
        try:
            more = await tick()
        except Exception as error:  # noqa: BLE001  (an error boundary)
            metrics.TICK_FAILURES.labels(name).inc()
            if isinstance(error, CannotWrite):
                log.debug(
                    "tick failed, it is tried again", tick=name, after_s=pause, cause=error.detail
                )  # the store logs it
            elif isinstance(error, Unavailable):  # in one line: eight ticks would fill the log with the same traceback
                log.warning("tick failed, it is tried again", tick=name, after_s=pause, cause=error.detail)
            else:
                log.error("tick failed, it is tried again", tick=name, after_s=pause, exc_info=error)
            await first_of(stopping, timeout=pause)
            pause = min(pause * 2, longest_pause)
            continue
        pause = FIRST_PAUSE_S
        if more:
            await asyncio.sleep(0)
            continue
        timeout = more.wait.total_seconds() if isinstance(more, Idle) else every
        await first_of(stopping, *([] if wake is None else [wake]), timeout=timeout)


async def first_of(*events: asyncio.Event, timeout: float) -> None:  # noqa: ASYNC109  (a pause, not a limit on work)
    """Wait until one of the events is set, at most `timeout` seconds."""
    if any(event.is_set() for event in events):
        return
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def seldom(act: Callable[[], Awaitable[None]], *, every: float, name: str) -> Callable[[], Awaitable[bool]]:
    """Return a function that calls `act` unless it did so within `every` seconds, and returns whether it did.

    A failure is logged: it must not fail the caller's work.
    """
    last = float("-inf")

    async def call() -> bool:
        nonlocal last
        now = asyncio.get_running_loop().time()
        if now - last < every:
            return False
        last = now
        try:
            await act()
        except Unavailable as error:
            log.debug("side work failed, it is tried again", work=name, cause=error.detail)
        except Exception as error:  # noqa: BLE001  (an error boundary, see above)
            log.error("side work failed, it is tried again", work=name, exc_info=error)
        return True

    return call
