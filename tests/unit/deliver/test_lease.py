"""Who leases which messages, for how long, and what happens when a holder dies."""

import asyncio
from datetime import timedelta

from app.deliver import lease, sweep
from app.deliver.settle import AttemptResult, settle, settle_results
from app.domain.attempt import Sent, Temporary
from app.domain.lease import Leased
from app.domain.message import MessageState
from app.domain.recipient import Address
from app.store import outbox
from tests.support.context import SystemUnderTest
from tests.support.outbox import BODIES, life_of, message_of, post

ANN = Address("smtp", "ann@example.org")
HOOK = Address("webhook", "https://hooks.example.org/a")
HOLD = timedelta(minutes=2)


async def take(
    system: SystemUnderTest, limit: int = 100, transport: str = "smtp", holder: str = "worker:a"
) -> list[Leased]:
    now = system.time[0]
    async with system.context.database.write() as tx:
        return await lease.lease(tx, transport, limit, now, holder, now + HOLD)


async def begin(system: SystemUnderTest, leased: list[Leased]) -> frozenset[str]:
    async with system.context.database.write() as tx:
        return await lease.begin(tx, [one.claim for one in leased], system.time[0])


async def test_the_most_urgent_messages_are_leased_first_then_the_longest_due(system: SystemUnderTest) -> None:
    (summary,) = await post(system.context, ANN, urgency=3)
    system.pass_time(seconds=1)
    (alert,) = await post(system.context, ANN, urgency=1)
    system.pass_time(seconds=1)
    (critical,) = await post(system.context, ANN, urgency=0)
    (later,) = await post(system.context, ANN, urgency=1)
    await post(system.context, ANN, urgency=0, due_at=system.time[0] + timedelta(minutes=1))
    assert [one.parcel.id for one in await take(system)] == [critical, alert, later, summary]


async def test_each_transport_gets_its_own_messages_with_the_matching_body(system: SystemUnderTest) -> None:
    await post(system.context, ANN)
    await post(system.context, HOOK)
    (mail,), (hook,) = await take(system), await take(system, transport="webhook")
    assert (mail.parcel.body, hook.parcel.body) == (BODIES.mail, BODIES.webhook)
    assert (mail.parcel.address, hook.parcel.address) == (ANN.address, HOOK.address)
    assert await take(system) == []


async def test_two_workers_at_once_never_get_the_same_message(system: SystemUnderTest) -> None:
    ids = await post(system.context, ANN, count=60)
    taken = await asyncio.gather(*(take(system, 10, holder=f"worker:{number}") for number in range(6)))
    got = [one.parcel.id for leased in taken for one in leased]
    assert len(got) == len(set(got))
    got += [one.parcel.id for one in await take(system)]
    assert sorted(got) == sorted(ids)


async def test_a_lease_lasts_as_long_as_it_is_renewed(system: SystemUnderTest) -> None:
    await post(system.context, ANN, count=2)
    kept, dropped = await take(system)
    system.pass_time(minutes=1)
    async with system.context.database.write() as tx:
        assert await lease.renew(tx, [kept.claim], system.time[0] + HOLD) == {kept.parcel.id}
    system.pass_time(minutes=1.5)
    await sweep.tick(system.context)
    assert (await message_of(system.context, kept.parcel.id)).state is MessageState.LEASED
    assert (await message_of(system.context, dropped.parcel.id)).state is MessageState.QUEUED
    async with system.context.database.write() as tx:
        assert await lease.renew(tx, [dropped.claim], system.time[0] + HOLD) == frozenset()


async def test_a_begun_attempt_of_a_dead_holder_is_unknown_and_due_at_once(system: SystemUnderTest) -> None:
    await post(system.context, ANN, count=2)
    begun, waiting = await take(system)
    await begin(system, [begun])
    system.pass_time(minutes=3)
    await sweep.tick(system.context)
    message, other = (
        await message_of(system.context, begun.parcel.id),
        await message_of(system.context, waiting.parcel.id),
    )
    assert (message.state, message.maybe_sent, message.due_at) == (MessageState.UNKNOWN, True, system.time[0])
    assert (other.state, other.maybe_sent, other.attempts) == (MessageState.QUEUED, False, 0)
    (attempt,) = await life_of(system.context, begun.parcel.id)
    assert (attempt.outcome, attempt.text) == ("unknown", "the worker died or was cut off")
    assert len(await take(system)) == 2


async def test_a_new_worker_on_sqlite_takes_back_leases_of_workers_but_not_of_relays(system: SystemUnderTest) -> None:
    await post(system.context, ANN, count=2)
    (ours,) = await take(system, 1, holder="worker:dead")
    (relays,) = await take(system, 1, holder="relay:win_1")
    await sweep.take_back_all_leases(system.context, "worker:")
    assert (await message_of(system.context, ours.parcel.id)).state is MessageState.QUEUED
    assert (await message_of(system.context, relays.parcel.id)).state is MessageState.LEASED


async def test_returned_messages_are_queued_again_unless_an_attempt_was_begun(system: SystemUnderTest) -> None:
    await post(system.context, ANN, count=2)
    leased = await take(system)
    await begin(system, leased[:1])
    async with system.context.database.write() as tx:
        assert await lease.give_back(tx, [one.claim for one in leased]) == 1
    assert [(await message_of(system.context, one.parcel.id)).state for one in leased] == ["leased", "queued"]


async def test_a_lease_with_its_attempt_is_written_at_once_and_settled_under_its_token(system: SystemUnderTest) -> None:
    ids = await post(system.context, ANN, count=3)
    until = system.time[0] + timedelta(minutes=2)
    async with system.context.database.write() as tx:
        begun = await lease.lease_and_begin(tx, "smtp", 2, system.time[0], "worker:a", until)
    assert {one.parcel.id for one in begun} < set(ids)
    for one in begun:
        (attempt,) = await life_of(system.context, one.parcel.id)
        assert (attempt.number, attempt.holder, attempt.token) == (1, "worker:a", one.claim.token)
        assert attempt.ended_at is None
    assert not await begin(system, begun)  # each was begun
    system.pass_time(seconds=2)
    first = begun[0]
    async with system.context.database.write() as tx:
        await settle_results(tx, [AttemptResult(first.claim, Sent("250", "2.0.0 ok"))], system.time[0])
    message, (attempt,) = (
        await message_of(system.context, first.parcel.id),
        await life_of(system.context, first.parcel.id),
    )
    assert (message.state, message.why, message.attempts, message.settled_at, message.lease_token) == (
        MessageState.SENT,
        "250 2.0.0 ok",
        1,
        system.time[0],
        None,
    )
    assert (attempt.outcome, attempt.code, attempt.text) == ("sent", "250", "2.0.0 ok")
    assert attempt.ended_at is not None
    assert attempt.ended_at - attempt.started_at == timedelta(seconds=2)


async def test_only_transports_with_due_messages_are_named(system: SystemUnderTest) -> None:
    await post(system.context, ANN)
    await post(system.context, Address("webhook", "https://example.org"), due_at=system.time[0] + timedelta(minutes=1))
    async with system.context.database.read() as tx:
        assert await outbox.transports_with_due(tx, ["webhook", "file", "smtp"], system.time[0]) == ["smtp"]
        later = system.time[0] + timedelta(minutes=2)
        assert set(await outbox.transports_with_due(tx, ["webhook", "file", "smtp"], later)) == {"smtp", "webhook"}
        assert await outbox.transports_with_due(tx, [], later) == []


async def test_a_message_is_dead_when_too_old_even_if_no_worker_serves_its_transport(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, Address("mapi", "ann@example.org"))
    system.pass_time(hours=71)
    await sweep.tick(system.context)
    assert (await message_of(system.context, one)).state is MessageState.QUEUED
    system.pass_time(hours=1)
    await sweep.tick(system.context)
    message = await message_of(system.context, one)
    assert (message.state, message.why) == (MessageState.DEAD, "given up: not sent within 4320 min, after 0 attempts")


async def test_a_short_wait_is_reported_in_seconds(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN, HOOK, move_on_at=system.time[0] + timedelta(seconds=6))
    system.pass_time(seconds=6)
    await sweep.tick(system.context)
    message = await message_of(system.context, one)
    assert message.why == "not sent within 6 s, after 0 attempts; goes by webhook instead"


async def test_a_moved_message_says_why_its_last_attempt_failed(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN, HOOK)
    (leased,) = await take(system)
    async with system.context.database.write() as tx:
        await lease.begin(tx, [leased.claim], system.time[0])
    async with system.context.database.write() as tx:
        await settle(tx, one, leased.claim.token, Temporary("connect", "Connection refused"), system.time[0])
    system.pass_time(minutes=15)
    await sweep.tick(system.context)
    message = await message_of(system.context, one)
    why = "not sent within 15 min, after 1 attempt: connect Connection refused"
    assert message.why == f"{why}; goes by webhook instead"
    assert (await message_of(system.context, message.moved_to or "")).why == f"smtp could not send it: {why}"
