"""SQLite's one writer: whoever is nearest to the mail server has the next turn, and nobody waits for ever."""

import asyncio

import pytest

from app.store.writer_queue import MOST_PASSED, WriteOrder, WriterQueue


async def use(queue: WriterQueue, order: WriteOrder, seen: list[WriteOrder]) -> None:
    async with queue.turn(order, 5):
        seen.append(order)
        await asyncio.sleep(0)


async def test_those_who_wait_have_their_turn_in_the_order_of_the_way_to_the_mail_server():
    queue, seen = WriterQueue(), list[WriteOrder]()
    async with asyncio.TaskGroup() as tasks, queue.turn(WriteOrder.DECIDE, 5):
        for order in reversed(WriteOrder):
            tasks.create_task(use(queue, order, seen))
        await asyncio.sleep(0)
        assert queue.is_wanted(before=WriteOrder.DECIDE)
        assert not queue.is_wanted(before=WriteOrder.SEND)
        assert seen == []
    assert seen == list(WriteOrder)


async def test_deciding_has_its_turn_although_others_come_before_it_again_and_again():
    queue, seen = WriterQueue(), list[WriteOrder]()

    async def again_and_again(order: WriteOrder) -> None:
        for _ in range(20):
            await use(queue, order, seen)

    async with asyncio.TaskGroup() as tasks:
        for order in (WriteOrder.STORE, WriteOrder.SEND):
            tasks.create_task(again_and_again(order))
        await asyncio.sleep(0)
        tasks.create_task(use(queue, WriteOrder.DECIDE, seen))
    assert seen.index(WriteOrder.DECIDE) <= MOST_PASSED + 4  # it came after two of them


async def test_one_that_stops_waiting_keeps_nobody_from_the_writer():
    queue, seen = WriterQueue(), list[WriteOrder]()
    async with queue.turn(WriteOrder.DECIDE, 5):
        with pytest.raises(TimeoutError):
            async with queue.turn(WriteOrder.SEND, 0.01):
                pass
        cancelled = asyncio.create_task(use(queue, WriteOrder.SEND, seen))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.sleep(0)
    given = asyncio.create_task(use(queue, WriteOrder.COMPOSE, seen))
    async with asyncio.timeout(5):
        await given
        async with queue.turn(WriteOrder.DECIDE, 5):
            in_the_same_moment = asyncio.create_task(use(queue, WriteOrder.STORE, seen))
            await asyncio.sleep(0)
        in_the_same_moment.cancel()  # it was given its turn, and has not begun yet
        await asyncio.sleep(0)
        await use(queue, WriteOrder.DECIDE, seen)
    assert seen == [WriteOrder.COMPOSE, WriteOrder.DECIDE]


async def test_one_that_is_cancelled_in_the_moment_of_its_turn_harms_nobody():
    queue, seen = WriterQueue(), list[WriteOrder]()
    async with queue.turn(WriteOrder.DECIDE, 5):
        cancelled = asyncio.create_task(use(queue, WriteOrder.SEND, seen))
        other = asyncio.create_task(use(queue, WriteOrder.STORE, seen))
        await asyncio.sleep(0)
        cancelled.cancel()  # and the writer is free before it notices
    async with asyncio.timeout(5):
        await other
        await use(queue, WriteOrder.DECIDE, seen)
    assert cancelled.cancelled()
    assert seen == [WriteOrder.STORE, WriteOrder.DECIDE]
