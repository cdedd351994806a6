"""What takes too long to read, or ends the process that reads, is given up; the next report is read as usual."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from functools import partial

import pytest

from app.intake import reading_child
from app.intake.reading_process import NotRead, ReadingProcesses
from tests.support.cpu_noise import CPU_NOISE
from tests.support.loop_hold import measuring


@pytest.fixture
async def readers() -> AsyncIterator[ReadingProcesses]:
    readers = ReadingProcesses()
    async with readers.running():
        yield readers


@pytest.mark.slow
async def test_work_without_end_is_given_up_while_the_loop_is_free(readers: ReadingProcesses):
    with measuring() as holds, pytest.raises(NotRead, match="too long"):
        await readers.run("a", partial(all, _Endless()))
    assert holds.longest().seconds < 0.05 * CPU_NOISE
    assert await readers.run("a", partial(max, 1, 2)) == 2


async def test_a_process_that_is_killed_costs_its_own_report_only(readers: ReadingProcesses):
    with pytest.raises(NotRead):
        await readers.run("a", partial(_kill_this_process))
    assert await asyncio.gather(*(readers.run(str(n % 3), partial(max, n, 2)) for n in range(9))) == [
        2,
        2,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
    ]


def test_the_limit_of_one_call_is_shorter_than_the_wait_of_a_tool():
    assert reading_child.CPU_S <= 10


class _Endless:
    def __iter__(self):
        while True:
            yield 1


def _kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
