"""A tick is woken by an event, by the clock, or because there is more to do; a failure does not end it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from app.core import periodic
from app.core.periodic import Idle, keep_repeating, keep_ticking, run_in_background


class Tick:
    """Plays a script of answers, the last one for ever, and counts."""

    def __init__(self, *script: bool | Exception) -> None:
        self.script = script
        self.calls: list[float] = []

    async def __call__(self) -> bool:
        self.calls.append(time.monotonic())
        answer = self.script[min(len(self.calls), len(self.script)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def ticking_on(tick: Tick, every: float = 60, wake: asyncio.Event | None = None) -> AsyncIterator[asyncio.Event]:
    stopping = asyncio.Event()
    task = asyncio.create_task(keep_ticking(tick, name="test", stopping=stopping, every=every, wake=wake))
    yield stopping
    stopping.set()
    async with asyncio.timeout(2):
        await task


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110  (a list grows)
            await asyncio.sleep(0.005)


async def test_it_ticks_at_once_and_again_while_there_is_more() -> None:
    tick = Tick(True, True, False)
    async with ticking_on(tick):
        await until(lambda: len(tick.calls) == 3)
        await asyncio.sleep(0.05)
    assert len(tick.calls) == 3


async def test_an_event_wakes_it_and_one_set_during_a_tick_is_not_lost() -> None:
    wakeups = asyncio.Event()
    ticks = 0

    async def busy() -> bool:
        nonlocal ticks
        ticks += 1
        if ticks == 1:
            wakeups.set()
            await asyncio.sleep(0.01)
        return False

    stopping = asyncio.Event()
    task = asyncio.create_task(keep_ticking(busy, name="test", stopping=stopping, every=60, wake=wakeups))
    await until(lambda: ticks == 2)
    wakeups.set()
    await until(lambda: ticks == 3)
    stopping.set()
    await task


async def test_one_that_says_how_long_nothing_is_due_waits_so_long_and_not_for_its_usual_time() -> None:
    wakeups, calls = asyncio.Event(), 0

    async def idle() -> Idle:
        nonlocal calls
        calls += 1
        return Idle(timedelta(seconds=60 if calls == 2 else 0.05))

    stopping = asyncio.Event()
    task = asyncio.create_task(keep_ticking(idle, name="test", stopping=stopping, every=0.001, wake=wakeups))
    await until(lambda: calls == 2)
    await asyncio.sleep(0.1)
    assert calls == 2
    wakeups.set()
    await until(lambda: calls > 2)
    stopping.set()
    await task


async def test_the_clock_wakes_it_without_an_event() -> None:
    tick = Tick(False)
    async with ticking_on(tick, every=0.02, wake=asyncio.Event()):
        await until(lambda: len(tick.calls) > 3)


async def test_a_failure_is_tried_again_after_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periodic, "FIRST_PAUSE_S", 0.05)
    tick = Tick(OSError("away"), OSError("away"), OSError("away"), False)
    async with ticking_on(tick):
        await until(lambda: len(tick.calls) == 4)
    first, second, third = (later - sooner for sooner, later in zip(tick.calls, tick.calls[1:], strict=False))
    assert (first >= 0.05, second >= 0.1, third >= 0.2) == (True, True, True)


async def test_a_stop_during_a_pause_ends_it_at_once() -> None:
    tick = Tick(OSError("away"))
    async with ticking_on(tick):
        await until(lambda: len(tick.calls) == 1)


@pytest.mark.parametrize("lost", [0, 1, 3])
async def test_background_work_ends_even_if_a_library_loses_cancellations(lost: int) -> None:
    cancelled: list[int] = []

    async def work() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(1)
                if len(cancelled) > lost:
                    raise

    async with asyncio.timeout(10):
        async with run_in_background(work()):
            await asyncio.sleep(0)
    assert len(cancelled) == lost + 1


async def test_an_error_of_background_work_is_raised_at_the_end() -> None:
    async def work() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        async with run_in_background(work()):
            await asyncio.sleep(0)


async def test_work_that_fails_is_repeated() -> None:
    tick = Tick(RuntimeError("a bug"), RuntimeError("another"), True)

    async def act() -> None:
        await tick()

    async with run_in_background(keep_repeating(act, name="test", every=0.001)):
        await until(lambda: len(tick.calls) >= 4)
