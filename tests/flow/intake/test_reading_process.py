"""What takes too long to read, or ends the process that reads, is given up; the next report is read as usual."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from app.core.errors import MalformedBody
from app.intake import reading_child
from app.intake.body import BodyFormat, RequestBody
from app.intake.reading_process import NotRead, ReadingProcesses
from app.intake.validate import Sender
from app.intake.validated_body import BodyLimits, validate_body
from tests.support.cpu_noise import CPU_NOISE
from tests.support.loop_hold import measuring


@pytest.fixture
async def readers() -> AsyncIterator[ReadingProcesses]:
    readers = ReadingProcesses()
    async with readers.running():
        yield readers


async def run(readers: ReadingProcesses, sender: str, work: Callable[[], Any]) -> Any:
    """Run the work; wait for as long as a busy machine needs to start a process."""
    while True:
        try:
            return await readers.run(sender, work)
        except NotRead as cause:
            if "has not started yet" not in str(cause):
                raise


async def test_a_process_that_nobody_uses_ends_and_the_next_report_starts_another():
    readers = ReadingProcesses(idle_s=0.05)
    async with readers.running():
        first = await run(readers, "a", os.getpid)
        async with asyncio.timeout(30):
            while _is_running(first):  # noqa: ASYNC110  (the end of a process has no event)
                await asyncio.sleep(0.02)
        assert await run(readers, "a", os.getpid) != first


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
async def test_work_without_end_is_given_up_while_the_loop_is_free(readers: ReadingProcesses):
    with measuring() as holds, pytest.raises(NotRead, match="too long"):
        await run(readers, "a", partial(all, _Endless()))
    assert holds.longest().seconds < 0.05 * CPU_NOISE
    assert await run(readers, "a", partial(max, 1, 2)) == 2


async def test_a_process_that_is_killed_costs_its_own_report_only(readers: ReadingProcesses):
    with pytest.raises(NotRead):
        await run(readers, "a", partial(_kill_this_process))
    assert await asyncio.gather(*(run(readers, str(n % 3), partial(max, n, 2)) for n in range(9))) == [
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


async def test_a_start_goes_on_when_the_tool_that_waited_for_it_has_given_up(readers: ReadingProcesses):
    async def read_within_a_moment() -> int | None:
        try:
            async with asyncio.timeout(0.1):  # a start takes far longer
                return await readers.run("a", partial(max, 1, 2))
        except TimeoutError:
            return None

    assert await read_within_a_moment() is None
    async with asyncio.timeout(120):
        while await read_within_a_moment() != 2:
            pass


async def test_a_large_body_of_events_is_refused_as_a_small_one_is(readers: ReadingProcesses):
    body = RequestBody(b'[{"job":"a"},', BodyFormat.JSON, is_single=False)
    limits = BodyLimits(events=10, event_size=1024, log_size=1024)
    with pytest.raises(MalformedBody, match="not JSON") as refused:
        await run(readers, "a", partial(validate_body, body, Sender("c"), datetime.now(UTC), limits, ()))
    assert (refused.value.code, refused.value.status) == ("malformed_body", 400)


def test_the_limit_of_one_call_is_shorter_than_the_wait_of_a_tool():
    assert reading_child.CPU_S <= 10


class _Endless:
    def __iter__(self):
        while True:
            yield 1


def _kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
