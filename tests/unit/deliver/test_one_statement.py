"""Steps that PostgreSQL takes in one statement do what they do one by one, and leave alone what changed meanwhile."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.core.ids import new_id
from app.deliver.settle import AttemptResult, settle_results, settle_sent
from app.domain.attempt import Sent, Temporary
from app.domain.lease import Claim
from app.domain.message import LEGAL_MOVES, MessageState
from app.domain.notice import URGENCY_ALERT, Notice, NoticeKind, NoticeState
from app.domain.recipient import Address
from app.store import notices, outbox, outbox_at_once
from app.store.outbox_at_once import ComposedGroup, store_composed
from tests.support.context import SystemUnderTest, open_system
from tests.support.outbox import BODIES, life_of, message_of, post

pytestmark = pytest.mark.postgres
ANN = Address("smtp", "ann@example.org")
SENT = Sent("250", "2.0.0 queued as 4711\nand more", {"server": "mx.example.org"})
HOLD = timedelta(minutes=2)


@pytest.fixture
async def system(postgres_database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(postgres_database_url, tmp_path, log_level="error") as system:
        yield system


async def begin(system: SystemUnderTest, limit: int = 10) -> list[Claim]:
    """Lease due mails and begin an attempt at each, in one statement."""
    now = system.time[0]
    async with system.context.database.alone() as alone:
        leased = await outbox_at_once.lease_and_begin(alone, "smtp", limit, now, "worker:a", now + HOLD)
    return [one.claim for one in leased]


async def test_what_was_sent_is_settled_as_it_is_one_by_one(system: SystemUnderTest) -> None:
    await post(system.context, ANN, count=2)
    one, other = await begin(system)
    system.pass_time(seconds=3)
    async with system.context.database.alone() as alone:
        assert await settle_sent(alone, [AttemptResult(one, SENT)], system.time[0]) == []
    async with system.context.database.write() as tx:
        await settle_results(tx, [AttemptResult(other, SENT)], system.time[0])
    at_once, alone_settled = (
        await message_of(system.context, one.message_id),
        await message_of(system.context, other.message_id),
    )
    same = {"id": "", "message_id": ""}
    assert replace(at_once, **same) == replace(alone_settled, **same)
    (attempt,), (expected,) = (
        await life_of(system.context, one.message_id),
        await life_of(system.context, other.message_id),
    )
    assert replace(attempt, **same) == replace(expected, **same)
    assert (at_once.state, at_once.why, at_once.settled_at) == (
        MessageState.SENT,
        "250 2.0.0 queued as 4711",
        system.time[0],
    )


async def test_only_a_message_that_is_leased_under_the_token_is_settled(system: SystemUnderTest) -> None:
    for before in MessageState:
        (one,) = await post(system.context, ANN)
        (claim,) = await begin(system)
        async with system.context.database.write() as tx:
            await outbox.save(tx, [replace(await message_of(system.context, one), state=before)])
        result = AttemptResult(claim, SENT)
        async with system.context.database.alone() as alone:
            left = await settle_sent(alone, [result], system.time[0])
        after = (await message_of(system.context, one)).state
        assert (left == []) is (before is MessageState.LEASED)
        assert after is (MessageState.SENT if before is MessageState.LEASED else before)
        assert after is before or (before, after) in LEGAL_MOVES
        async with system.context.database.write() as tx:  # nothing of it is due in the next round
            await outbox.save(tx, [replace(await message_of(system.context, one), state=MessageState.DEAD)])


async def test_a_lost_lease_and_another_outcome_are_left_for_the_usual_way(system: SystemUnderTest) -> None:
    await post(system.context, ANN, count=3)
    sent, lost, failed = await begin(system)
    stranger = AttemptResult(Claim(lost.message_id, "lse_of_somebody_else"), SENT)
    refused = AttemptResult(failed, Temporary("451", "4.3.0 try later"))
    async with system.context.database.alone() as alone:
        left = await settle_sent(alone, [AttemptResult(sent, SENT), stranger, refused], system.time[0])
    assert left == [stranger, refused]
    states = [(await message_of(system.context, one.message_id)).state for one in (sent, lost, failed)]
    assert states == [MessageState.SENT, MessageState.LEASED, MessageState.LEASED]
    assert [(await life_of(system.context, one.message_id))[0].outcome for one in (lost, failed)] == [None, None]


def waiting(system: SystemUnderTest, recipient_id: str, state: NoticeState = NoticeState.WAITING) -> Notice:
    notice_id, now = new_id("ntc"), system.time[0]
    return Notice(
        id=notice_id,
        what=NoticeKind.SUMMARY,
        state=state,
        reason="a test",
        due_at=now,
        group_key="",
        urgency=URGENCY_ALERT,
        dedupe=notice_id,
        created_at=now,
        recipient_id=recipient_id,
    )


async def test_a_group_of_which_one_notice_waits_no_more_is_not_stored_and_the_others_are(
    system: SystemUnderTest,
) -> None:
    (known,) = await post(system.context, ANN, state=MessageState.DEAD)
    like = replace(await message_of(system.context, known), state=MessageState.QUEUED)
    whole, broken = replace(like, id=new_id("msg")), replace(like, id=new_id("msg"))
    also = replace(like, id=new_id("msg"), address="second@example.org")
    first, second = waiting(system, like.recipient_id), waiting(system, like.recipient_id)
    withdrawn = waiting(system, like.recipient_id, NoticeState.SUPPRESSED)
    async with system.context.database.write() as tx:
        await notices.insert_notices(tx, [first, second, withdrawn])
    groups = [
        ComposedGroup(broken.id, [second.id, withdrawn.id], [(broken, BODIES)]),
        ComposedGroup(whole.id, [first.id], [(whole, BODIES), (also, BODIES)]),
    ]
    async with system.context.database.alone() as alone:
        assert await store_composed(alone, groups) == {whole.id}
    async with system.context.database.read() as tx:
        assert [one.id for one in await notices.waiting_due(tx, system.time[0], 9)] == [second.id]
        assert await outbox.find_message(tx, broken.id) is None
        assert [await outbox.find_message(tx, one.id) for one in (whole, also)] == [whole, also]
        bodies = await outbox.kinds_of_body(tx, also.id)
    assert (bodies.mail, bodies.webhook) == (b"", b"")
    assert {claim.message_id for claim in await begin(system)} == {whole.id, also.id}
