"""The statements that move many messages at once make only moves of the table in app/domain/message.py."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from app.domain.lease import Claim
from app.domain.message import LEGAL_MOVES, MessageState
from app.domain.recipient import Address
from app.store import outbox
from app.store.transactions import WriteTx
from tests.support.context import SystemUnderTest
from tests.support.outbox import message_of, post

ANN = Address("smtp", "ann@example.org")
TOKEN = "lse_present"


async def _lease(tx: WriteTx, system: SystemUnderTest, message_id: str) -> None:
    now = system.time[0]
    await outbox.lease(tx, "smtp", 10, now, "worker:b", now + timedelta(minutes=1))


async def _return_unbegun(tx: WriteTx, system: SystemUnderTest, message_id: str) -> None:
    await outbox.give_back(tx, [Claim(message_id, TOKEN)])


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        (_lease, {"queued": "leased", "unknown": "leased"}),
        (_return_unbegun, {"leased": "queued"}),
    ],
    ids=["lease", "return what was not begun"],
)
async def test_each_statement_moves_only_the_states_that_may_move(
    system: SystemUnderTest, change: Callable[[WriteTx, SystemUnderTest, str], Awaitable[None]], moves: dict[str, str]
) -> None:
    for before in MessageState:
        # Every state with the token, so that nothing but the state can keep the statement from moving it.
        (one,) = await post(system.context, ANN, state=before, lease_token=TOKEN, lease_until=system.time[0])
        async with system.context.database.write() as tx:
            await change(tx, system, one)
        after = (await message_of(system.context, one)).state
        assert after == moves.get(before, before)
        assert after is before or (before, after) in LEGAL_MOVES
