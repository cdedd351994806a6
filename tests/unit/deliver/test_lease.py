"""Who leases which messages, for how long, and what happens when a holder dies."""

import asyncio
from datetime import timedelta

from app.deliver import lease, sweep
from app.deliver.settle import settle
from app.domain.attempt import Temporary
from app.domain.lease import Leased
from app.domain.message import MessageState
from app.domain.recipient import Address
from app.store.attempts import SentAttempt, settle_sent_and_begin
from tests.support.context import Lived
from tests.support.outbox import BODIES, life_of, message_of, post

ANN = Address("smtp", "ann@example.org")
HOOK = Address("webhook", "https://hooks.example.org/a")
HOLD = timedelta(minutes=2)


async def take(lived: Lived, limit: int = 100, transport: str = "smtp", holder: str = "worker:a") -> list[Leased]:
    now = lived.time[0]
    async with lived.context.database.write() as tx:
        return await lease.lease(tx, transport, limit, now, holder, now + HOLD)


async def begin(lived: Lived, leased: list[Leased]) -> frozenset[str]:
    async with lived.context.database.write() as tx:
        return await lease.begin(tx, [one.claim for one in leased], lived.time[0])


async def test_the_most_urgent_messages_are_leased_first_then_the_longest_due(lived: Lived) -> None:
    (summary,) = await post(lived.context, ANN, urgency=3)
    lived.pass_time(seconds=1)
    (alert,) = await post(lived.context, ANN, urgency=1)
    lived.pass_time(seconds=1)
    (critical,) = await post(lived.context, ANN, urgency=0)
    (later,) = await post(lived.context, ANN, urgency=1)
    await post(lived.context, ANN, urgency=0, due_at=lived.time[0] + timedelta(minutes=1))
    assert [one.parcel.id for one in await take(lived)] == [critical, alert, later, summary]


async def test_each_transport_gets_its_own_messages_with_the_matching_body(lived: Lived) -> None:
    await post(lived.context, ANN)
    await post(lived.context, HOOK)
    (mail,), (hook,) = await take(lived), await take(lived, transport="webhook")
    assert (mail.parcel.body, hook.parcel.body) == (BODIES.mail, BODIES.webhook)
    assert (mail.parcel.address, hook.parcel.address) == (ANN.address, HOOK.address)
    assert await take(lived) == []


async def test_two_workers_at_once_never_get_the_same_message(lived: Lived) -> None:
    ids = await post(lived.context, ANN, count=60)
    taken = await asyncio.gather(*(take(lived, 10, holder=f"worker:{number}") for number in range(6)))
    got = [one.parcel.id for leased in taken for one in leased]
    assert len(got) == len(set(got))
    got += [one.parcel.id for one in await take(lived)]
    assert sorted(got) == sorted(ids)


async def test_a_lease_lasts_as_long_as_it_is_renewed(lived: Lived) -> None:
    await post(lived.context, ANN, count=2)
    kept, dropped = await take(lived)
    lived.pass_time(minutes=1)
    async with lived.context.database.write() as tx:
        assert await lease.renew(tx, [kept.claim], lived.time[0] + HOLD) == {kept.parcel.id}
    lived.pass_time(minutes=1.5)
    await sweep.tick(lived.context)
    assert (await message_of(lived.context, kept.parcel.id)).state is MessageState.LEASED
    assert (await message_of(lived.context, dropped.parcel.id)).state is MessageState.QUEUED
    async with lived.context.database.write() as tx:
        assert await lease.renew(tx, [dropped.claim], lived.time[0] + HOLD) == frozenset()


async def test_a_begun_attempt_of_a_dead_holder_is_unknown_and_due_at_once(lived: Lived) -> None:
    await post(lived.context, ANN, count=2)
    begun, waiting = await take(lived)
    await begin(lived, [begun])
    lived.pass_time(minutes=3)
    await sweep.tick(lived.context)
    message, other = (
        await message_of(lived.context, begun.parcel.id),
        await message_of(lived.context, waiting.parcel.id),
    )
    assert (message.state, message.maybe_sent, message.due_at) == (MessageState.UNKNOWN, True, lived.time[0])
    assert (other.state, other.maybe_sent, other.attempts) == (MessageState.QUEUED, False, 0)
    (attempt,) = await life_of(lived.context, begun.parcel.id)
    assert (attempt.outcome, attempt.text) == ("unknown", "the worker died or was cut off")
    assert len(await take(lived)) == 2


async def test_a_new_worker_on_sqlite_takes_back_leases_of_workers_but_not_of_relays(lived: Lived) -> None:
    await post(lived.context, ANN, count=2)
    (ours,) = await take(lived, 1, holder="worker:dead")
    (relays,) = await take(lived, 1, holder="relay:win_1")
    await sweep.tick(lived.context, of_holders="worker:")
    assert (await message_of(lived.context, ours.parcel.id)).state is MessageState.QUEUED
    assert (await message_of(lived.context, relays.parcel.id)).state is MessageState.LEASED


async def test_returned_messages_are_queued_again_unless_an_attempt_was_begun(lived: Lived) -> None:
    await post(lived.context, ANN, count=2)
    leased = await take(lived)
    await begin(lived, leased[:1])
    async with lived.context.database.write() as tx:
        assert await lease.give_back(tx, [one.claim for one in leased]) == 1
    assert [(await message_of(lived.context, one.parcel.id)).state for one in leased] == ["leased", "queued"]


async def test_the_fast_path_refuses_a_holder_that_lost_its_lease(lived: Lived) -> None:
    await post(lived.context, ANN, count=2)
    slept = await take(lived)
    await begin(lived, slept[:1])
    lived.pass_time(minutes=3)
    await sweep.tick(lived.context)
    took_over = await take(lived, holder="worker:b")
    line = SentAttempt(slept[0].claim.message_id, slept[0].claim.token, "250", "ok")
    async with lived.context.database.write() as tx:
        assert await settle_sent_and_begin(tx, [line], [slept[1].claim], lived.time[0]) == (set(), set())
    assert {(await message_of(lived.context, one.parcel.id)).lease_holder for one in took_over} == {"worker:b"}


async def test_the_fast_path_writes_what_settle_writes(lived: Lived) -> None:
    await post(lived.context, ANN, count=3)
    first, second, third = await take(lived)
    async with lived.context.database.write() as tx:
        begun = await settle_sent_and_begin(tx, [], [first.claim, second.claim], lived.time[0])
    assert begun == (set(), {first.parcel.id, second.parcel.id})
    lived.pass_time(seconds=2)
    line = SentAttempt(first.claim.message_id, first.claim.token, "250", "2.0.0 ok")
    async with lived.context.database.write() as tx:
        both = await settle_sent_and_begin(tx, [line], [third.claim, second.claim], lived.time[0])
    assert both == ({first.parcel.id}, {third.parcel.id})  # the second was begun before
    message, (attempt,) = (
        await message_of(lived.context, first.parcel.id),
        await life_of(lived.context, first.parcel.id),
    )
    assert (message.state, message.why, message.attempts, message.settled_at, message.lease_token) == (
        MessageState.SENT,
        "250 2.0.0 ok",
        1,
        lived.time[0],
        None,
    )
    assert (attempt.outcome, attempt.code, attempt.text, attempt.number) == ("sent", "250", "2.0.0 ok", 1)
    assert attempt.ended_at is not None
    assert attempt.ended_at - attempt.started_at == timedelta(seconds=2)
    assert attempt.holder == "worker:a"


async def test_a_message_is_dead_when_too_old_even_if_no_worker_serves_its_transport(lived: Lived) -> None:
    (one,) = await post(lived.context, Address("mapi", "ann@example.org"))
    lived.pass_time(hours=71)
    await sweep.tick(lived.context)
    assert (await message_of(lived.context, one)).state is MessageState.QUEUED
    lived.pass_time(hours=1)
    await sweep.tick(lived.context)
    message = await message_of(lived.context, one)
    assert (message.state, message.why) == (MessageState.DEAD, "given up: not sent within 4320 min, after 0 attempts")


async def test_a_short_wait_is_reported_in_seconds(lived: Lived) -> None:
    (one,) = await post(lived.context, ANN, HOOK, move_on_at=lived.time[0] + timedelta(seconds=6))
    lived.pass_time(seconds=6)
    await sweep.tick(lived.context)
    message = await message_of(lived.context, one)
    assert message.why == "not sent within 6 s, after 0 attempts; goes by webhook instead"


async def test_a_moved_message_says_why_its_last_attempt_failed(lived: Lived) -> None:
    (one,) = await post(lived.context, ANN, HOOK)
    (leased,) = await take(lived)
    async with lived.context.database.write() as tx:
        await lease.begin(tx, [leased.claim], lived.time[0])
    async with lived.context.database.write() as tx:
        await settle(tx, one, leased.claim.token, Temporary("connect", "Connection refused"), lived.time[0])
    lived.pass_time(minutes=15)
    await sweep.tick(lived.context)
    message = await message_of(lived.context, one)
    why = "not sent within 15 min, after 1 attempt: connect Connection refused"
    assert message.why == f"{why}; goes by webhook instead"
    assert (await message_of(lived.context, message.moved_to or "")).why == f"smtp could not send it: {why}"
