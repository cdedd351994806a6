"""Read a body within a time limit: no timer for one that has arrived, a timeout for one that never ends, cancellation by the caller."""

import asyncio

import pytest

from app.core.errors import MalformedBody
from app.core.settings import load_settings
from app.intake import body
from app.intake.body import BodyHeaders, read_body, run_within


async def test_a_result_that_is_ready_is_returned_without_a_loop_iteration():
    async def at_once() -> int:
        return 7

    with pytest.raises(StopIteration) as done:
        run_within(60, at_once()).send(None)
    assert done.value.value == 7


async def test_work_that_waits_several_times_is_awaited():
    async def in_pieces() -> list[int]:
        found = []
        for number in range(5):
            await asyncio.sleep(0.001 * number)
            found.append(await asyncio.wait_for(asyncio.sleep(0, number), 5))
        return found

    assert await run_within(60, in_pieces()) == [0, 1, 2, 3, 4]


async def test_an_early_or_late_error_is_raised_to_the_caller():
    async def fails(after: float) -> None:
        if after:
            await asyncio.sleep(after)
        raise LookupError

    for after in (0.0, 0.001):
        with pytest.raises(LookupError):
            await run_within(60, fails(after))


@pytest.mark.parametrize("by_the_clock", [True, False])
async def test_work_that_never_ends_is_cancelled_by_timeout_or_by_the_caller(by_the_clock: bool):
    ended = asyncio.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(run_within(0.01 if by_the_clock else 60, never()))
    await asyncio.sleep(0)
    if not by_the_clock:
        waiting.cancel()
    with pytest.raises(TimeoutError if by_the_clock else asyncio.CancelledError):
        await waiting
    assert ended.is_set()


async def test_a_body_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(body, "READ_TIMEOUT_S", 0.05)
    pieces = iter([{"type": "http.request", "body": b'{"agent":', "more_body": True}])

    async def receive() -> dict:
        for piece in pieces:
            return piece
        return await asyncio.Event().wait()

    with pytest.raises(MalformedBody) as refused:
        await read_body(BodyHeaders("application/json", "", ""), receive, load_settings())
    assert refused.value.code == "body_slow"
