"""What happens to a message after an attempt: each outcome, in time and late, from the holder and from former holders."""

from datetime import timedelta

import pytest

from app.deliver import lease
from app.deliver.after_attempt import MOST_UNKNOWN
from app.deliver.settle import AttemptResult, settle, settle_results
from app.deliver.sweep import take_back_leases
from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown
from app.domain.lease import Claim
from app.domain.message import MessageState
from app.domain.recipient import Address
from tests.support.context import SystemUnderTest
from tests.support.outbox import life_of, message_of, post

ANN = Address("smtp", "ann@example.org")
HOOK = Address("webhook", "https://hooks.example.org/a")
SENT, BUSY = Sent("250", "2.0.0 queued as 4711"), Temporary("451", "4.3.0 try later")
NO_SUCH, SILENT = Permanent("550", "5.1.1 no such user"), Unknown("disconnect", "no answer to the final dot")
HOLD = timedelta(minutes=2)


async def claim(system: SystemUnderTest, transport: str = "smtp", *, begin: bool = True) -> Claim:
    """Lease the only due message, and begin an attempt."""
    now = system.time[0]
    async with system.context.database.write() as tx:
        (leased,) = await lease.lease(tx, transport, 1, now, "worker:a", now + HOLD)
        if begin:
            assert await lease.begin(tx, [leased.claim], now) == {leased.parcel.id}
    return leased.claim


async def end(system: SystemUnderTest, held: Claim, outcome: Outcome) -> str:
    async with system.context.database.write() as tx:
        return await settle(tx, held.message_id, held.token, outcome, system.time[0])


async def lose_lease(system: SystemUnderTest) -> None:
    """Let the lease expire, and sweep."""
    system.pass_time(minutes=3)
    async with system.context.database.write() as tx:
        assert await take_back_leases(tx, system.time[0]) == 1


async def test_a_sent_message_is_settled_and_its_evidence_is_kept(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN)
    effect = await end(system, await claim(system), SENT)
    message, (attempt,) = await message_of(system.context, one), await life_of(system.context, one)
    assert effect == "sent: 250 2.0.0 queued as 4711"
    assert (message.state, message.attempts, message.settled_at) == (MessageState.SENT, 1, system.time[0])
    assert (attempt.outcome, attempt.code, attempt.text, attempt.holder) == ("sent", "250", SENT.text, "worker:a")


async def test_a_temporary_failure_waits_and_is_tried_again(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN)
    await end(system, await claim(system), BUSY)
    message = await message_of(system.context, one)
    assert message.state is MessageState.QUEUED
    assert timedelta(seconds=24) <= message.due_at - system.time[0] <= timedelta(seconds=36)
    async with system.context.database.write() as tx:
        assert await lease.lease(tx, "smtp", 1, system.time[0], "w", system.time[0] + HOLD) == []
    system.pass_time(minutes=1)
    await end(system, await claim(system), SENT)
    assert [attempt.outcome for attempt in await life_of(system.context, one)] == ["temporary", "sent"]


async def test_the_last_attempt_is_at_the_deadline_and_then_the_message_is_dead(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN)
    system.pass_time(hours=71, minutes=59, seconds=55)
    await end(system, await claim(system), BUSY)
    message = await message_of(system.context, one)
    assert message.due_at == message.give_up_at
    system.pass_time(seconds=5)
    effect = await end(system, await claim(system), BUSY)
    assert effect.startswith("dead: given up after 2 attempts; 451")


async def test_a_permanent_failure_without_another_transport_is_dead_at_once(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN)
    assert await end(system, await claim(system), NO_SUCH) == "dead: 550 5.1.1 no such user"
    assert (await message_of(system.context, one)).settled_at == system.time[0]


async def test_an_unknown_outcome_is_visible_and_sent_again_with_the_same_message_id(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN)
    before = await message_of(system.context, one)
    await end(system, await claim(system), SILENT)
    message = await message_of(system.context, one)
    assert (message.state, message.maybe_sent, message.message_id) == (MessageState.UNKNOWN, True, before.message_id)
    assert "may have been sent" in (message.why or "")
    system.pass_time(minutes=1)
    await end(system, await claim(system), SENT)
    message = await message_of(system.context, one)
    assert (message.state, message.maybe_sent) == (MessageState.SENT, True)


async def test_a_server_that_never_confirms_does_not_get_the_same_mail_for_three_days(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN)
    for _ in range(MOST_UNKNOWN):
        effect = await end(system, await claim(system), SILENT)
        system.pass_time(minutes=61)
    assert effect.startswith(f"dead: {MOST_UNKNOWN} attempts without an answer")
    assert len(await life_of(system.context, one)) == MOST_UNKNOWN


async def test_a_suspended_worker_cannot_overwrite_the_result_of_the_one_that_took_over(
    system: SystemUnderTest,
) -> None:
    (one,) = await post(system.context, ANN)
    slept = await claim(system)
    await lose_lease(system)
    took_over = await claim(system)
    for outcome in (BUSY, NO_SUCH, SILENT):
        assert (await end(system, slept, outcome)).startswith("refused: the lease was lost")
        assert (await message_of(system.context, one)).lease_token == took_over.token
    await end(system, took_over, SENT)
    assert (await end(system, slept, NO_SUCH)).startswith("refused")
    assert (await message_of(system.context, one)).state is MessageState.SENT
    first, second = await life_of(system.context, one)
    assert (first.outcome, second.outcome) == ("unknown", "sent")
    assert "reported too late to count: permanent 550" in (first.text or "")


async def test_a_suspended_worker_cannot_begin_a_message_that_it_no_longer_holds(system: SystemUnderTest) -> None:
    await post(system.context, ANN)
    slept = await claim(system, begin=False)
    system.pass_time(minutes=3)
    async with system.context.database.write() as tx:
        assert await lease.begin(tx, [slept], system.time[0]) == frozenset()  # ran out, though nobody swept yet
        await take_back_leases(tx, system.time[0])
    await claim(system)
    async with system.context.database.write() as tx:
        assert await lease.begin(tx, [slept], system.time[0]) == frozenset()


async def test_only_one_attempt_is_begun_under_one_claim(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN)
    held = await claim(system)
    async with system.context.database.write() as tx:
        assert await lease.begin(tx, [held], system.time[0]) == frozenset()
    assert len(await life_of(system.context, one)) == 1


@pytest.mark.parametrize("meanwhile", ["unknown", "queued", "dead", "leased", "sent", "moved"])
async def test_a_late_report_that_it_was_sent_always_counts(system: SystemUnderTest, meanwhile: str) -> None:
    (one,) = await post(system.context, ANN, *((HOOK,) if meanwhile == "moved" else ()))
    slept = await claim(system)
    await lose_lease(system)
    if meanwhile != "unknown":
        took_over = await claim(system)
        outcomes = {"queued": BUSY, "dead": NO_SUCH, "moved": NO_SUCH, "sent": SENT}
        if meanwhile in outcomes:
            await end(system, took_over, outcomes[meanwhile])
    assert (await message_of(system.context, one)).state == meanwhile
    assert (await end(system, slept, SENT)).startswith("sent")
    assert (await message_of(system.context, one)).state is MessageState.SENT
    first = (await life_of(system.context, one))[0]
    assert first.outcome == "sent"
    assert "recorded before as unknown: lost the worker died or was cut off" in (first.text or "")


async def test_a_result_that_comes_twice_changes_nothing(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN)
    held = await claim(system)
    await end(system, held, SENT)
    message, life = await message_of(system.context, one), await life_of(system.context, one)
    system.pass_time(days=1)
    assert await end(system, held, SENT) == "sent: known already"
    assert (await end(system, held, NO_SUCH)).startswith("refused")
    assert (await message_of(system.context, one), await life_of(system.context, one)) == (message, life)


async def test_sent_is_refused_from_a_token_that_began_no_attempt(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN)
    assert await end(system, Claim(one, "lse_made_up"), SENT) == "refused: no attempt was begun under this token"
    assert await end(system, Claim("msg_made_up", "lse_made_up"), SENT) == "refused: there is no such message"
    assert (await message_of(system.context, one)).state is MessageState.QUEUED


async def test_a_result_of_an_attempt_that_was_not_begun_is_written(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN)
    await end(system, await claim(system, begin=False), SENT)
    (attempt,) = await life_of(system.context, one)
    assert (attempt.outcome, attempt.number) == ("sent", 1)


async def test_a_late_sent_result_cancels_the_successor_that_was_not_sent_yet(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN, HOOK)
    slept = await claim(system)
    await lose_lease(system)
    await end(system, await claim(system), NO_SUCH)
    successor = (await message_of(system.context, one)).moved_to or ""
    assert (await message_of(system.context, successor)).state is MessageState.QUEUED
    await end(system, slept, SENT)
    spared = await message_of(system.context, successor)
    assert (spared.state, spared.attempts) == (MessageState.SENT, 0)
    assert spared.why == f"its predecessor {one} was sent by smtp after all"


@pytest.mark.parametrize("is_older_first", [True, False])
async def test_two_attempts_at_one_message_that_end_together_count_both(
    system: SystemUnderTest, is_older_first: bool
) -> None:
    (one,) = await post(system.context, ANN)
    older = await claim(system)
    await lose_lease(system)
    newer = await claim(system)
    ended = [AttemptResult(older, SENT), AttemptResult(newer, BUSY)]
    async with system.context.database.write() as tx:
        await settle_results(tx, ended if is_older_first else ended[::-1], system.time[0])
    assert (await message_of(system.context, one)).state is MessageState.SENT
    assert [attempt.outcome for attempt in await life_of(system.context, one)] == ["sent", "temporary"]
