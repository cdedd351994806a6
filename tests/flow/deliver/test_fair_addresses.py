"""One address that never answers holds up no other one; and where alerts have a state, one address gets one message at a time. On both databases."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.deliver.transports.webhook import WebhookTransport
from app.domain.attempt import Outcome, Sent
from app.domain.message import MessageState, Parcel
from app.domain.recipient import Address
from tests.support.context import SystemUnderTest, open_system
from tests.support.delivering import delivering, until
from tests.support.outbox import message_of, post
from tests.support.webhook_server import SECRET, reply, running


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        system.context = replace(system.context, clock=lambda: datetime.now(UTC))
        yield system


@pytest.mark.slow
async def test_a_server_that_never_answers_does_not_hold_up_another_one(system: SystemUnderTest) -> None:
    asked = asyncio.Event()

    async def never(_: bytes, __: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with running(never) as hanging, running(reply("200 OK")) as good:
        transport = WebhookTransport(SECRET, 4, network=None)
        stuck = [Address("webhook", f"http://127.0.0.1:{hanging.port}/{name}") for name in "abc"]
        for address in stuck:
            await post(system.context, address, count=20)
        async with delivering(system.context, {"webhook": transport}):
            async with asyncio.timeout(5):
                await asked.wait()
            [late] = await post(system.context, Address("webhook", f"http://127.0.0.1:{good.port}/"))
            system.context.wakeups.wake("messages")
            async with asyncio.timeout(2):
                await until(system.context, late, MessageState.SENT)
            assert len(hanging.requests) <= 4 * len(stuck), "not tried more often meanwhile"


@dataclass
class StatefulProgram:
    """Takes its time for each message, and records how many it had at the same time."""

    order: list[str] = field(default_factory=list)
    at_once: dict[str, int] = field(default_factory=dict)
    most: int = 0

    async def send(self, parcel: Parcel) -> Outcome:
        self.at_once[parcel.address] = self.at_once.get(parcel.address, 0) + 1
        self.most = max(self.most, self.at_once[parcel.address])
        await asyncio.sleep(0.03)
        self.at_once[parcel.address] -= 1
        self.order.append(parcel.id)
        return Sent("202", "accepted")

    async def close(self) -> None:
        pass


async def test_two_workers_send_the_messages_to_one_program_with_states_one_after_the_other(
    system: SystemUnderTest,
) -> None:
    program = StatefulProgram()
    ids: list[str] = []
    for _ in range(12):
        ids += await post(system.context, Address("pagerduty", "https://events.example.org"))
    others = await post(system.context, Address("pagerduty", "https://other.example.org"), count=3)
    async with AsyncExitStack() as workers:
        for name in ("worker:a", "worker:b"):
            await workers.enter_async_context(delivering(system.context, {"pagerduty": program}, name))
        for message_id in (*ids, *others):
            await until(system.context, message_id, MessageState.SENT)
    assert program.most == 1
    assert [one for one in program.order if one in ids] == ids
    assert [(await message_of(system.context, one)).attempts for one in ids] == [1] * len(ids)
