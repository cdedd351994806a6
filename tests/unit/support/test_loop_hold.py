"""The measure of held loops counts CPU time of the loop's thread only, and names what held it."""

import asyncio
import time

from tests.support.loop_hold import measuring


def burn(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def test_a_callback_that_computes_is_a_hold_and_one_that_waits_is_none():
    with measuring() as holds:
        await asyncio.sleep(0.01)
        time.sleep(0.05)  # noqa: ASYNC251  (as on a busy machine: the thread is stopped and uses no CPU time)
        await asyncio.to_thread(burn, 0.05)
        assert holds.longest().seconds < 0.02
        burn(0.06)
        await asyncio.sleep(0)
    assert holds.longest().seconds >= 0.06


async def test_two_short_callbacks_are_not_added_up():
    with measuring() as holds:
        for _ in range(4):
            burn(0.02)
            await asyncio.sleep(0)
    assert 0.02 <= holds.longest().seconds < 0.04
