"""What happens to a message after an attempt: each outcome, in time and late, from the holder and from former holders."""

from datetime import timedelta

import pytest

from app.deliver import lease
from app.deliver.after_attempt import MOST_UNKNOWN
from app.deliver.settle import settle
from app.deliver.sweep import take_back_leases
from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown
from app.domain.lease import Claim
from app.domain.message import MessageState
from app.domain.recipient import Address
from tests.support.context import Lived
from tests.support.outbox import life_of, message_of, post

ANN = Address("smtp", "ann@example.org")
HOOK = Address("webhook", "https://hooks.example.org/a")
SENT, BUSY = Sent("250", "2.0.0 queued as 4711"), Temporary("451", "4.3.0 try later")
NO_SUCH, SILENT = Permanent("550", "5.1.1 no such user"), Unknown("disconnect", "no answer to the final dot")
HOLD = timedelta(minutes=2)


async def claim(lived: Lived, transport: str = "smtp", *, begin: bool = True) -> Claim:
    """Lease the only due message, and begin an attempt."""
    now = lived.time[0]
    async with lived.context.database.write() as tx:
        (leased,) = await lease.lease(tx, transport, 1, now, "worker:a", now + HOLD)
        if begin:
            assert await lease.begin(tx, [leased.claim], now) == {leased.parcel.id}
    return leased.claim


async def end(lived: Lived, held: Claim, outcome: Outcome) -> str:
    async with lived.context.database.write() as tx:
        return await settle(tx, held.message_id, held.token, outcome, lived.time[0])


async def lose_lease(lived: Lived) -> None:
    """Let the lease expire, and sweep."""
    lived.pass_time(minutes=3)
    async with lived.context.database.write() as tx:
        assert await take_back_leases(tx, lived.time[0]) == 1


async def test_a_sent_message_is_settled_and_its_evidence_is_kept(lived: Lived) -> None:
    (one,) = await post(lived.context, ANN)
    effect = await end(lived, await claim(lived), SENT)
    message, (attempt,) = await message_of(lived.context, one), await life_of(lived.context, one)
    assert effect == "sent: 250 2.0.0 queued as 4711"
    assert (message.state, message.attempts, message.settled_at) == (MessageState.SENT, 1, lived.time[0])
    assert (attempt.outcome, attempt.code, attempt.text, attempt.holder) == ("sent", "250", SENT.text, "worker:a")


async def test_a_temporary_failure_waits_and_is_tried_again(lived: Lived) -> None:
    (one,) = await post(lived.context, ANN)
    await end(lived, await claim(lived), BUSY)
    message = await message_of(lived.context, one)
    assert message.state is MessageState.QUEUED
    assert timedelta(seconds=24) <= message.due_at - lived.time[0] <= timedelta(seconds=36)
    async with lived.context.database.write() as tx:
        assert await lease.lease(tx, "smtp", 1, lived.time[0], "w", lived.time[0] + HOLD) == []
    lived.pass_time(minutes=1)
    await end(lived, await claim(lived), SENT)
    assert [attempt.outcome for attempt in await life_of(lived.context, one)] == ["temporary", "sent"]


async def test_the_last_attempt_is_at_the_deadline_and_then_the_message_is_dead(lived: Lived) -> None:
    (one,) = await post(lived.context, ANN)
    lived.pass_time(hours=71, minutes=59, seconds=55)
    await end(lived, await claim(lived), BUSY)
    message = await message_of(lived.context, one)
    assert message.due_at == message.give_up_at
    lived.pass_time(seconds=5)
    effect = await end(lived, await claim(lived), BUSY)
    assert effect.startswith("dead: given up after 2 attempts; 451")


async def test_a_permanent_failure_without_another_transport_is_dead_at_once(lived: Lived) -> None:
    (one,) = await post(lived.context, ANN)
    assert await end(lived, await claim(lived), NO_SUCH) == "dead: 550 5.1.1 no such user"
    assert (await message_of(lived.context, one)).settled_at == lived.time[0]


async def test_an_unknown_outcome_is_visible_and_sent_again_with_the_same_message_id(lived: Lived) -> None:
    (one,) = await post(lived.context, ANN)
    before = await message_of(lived.context, one)
    await end(lived, await claim(lived), SILENT)
    message = await message_of(lived.context, one)
    assert (message.state, message.maybe_sent, message.message_id) == (MessageState.UNKNOWN, True, before.message_id)
    assert "may have been sent" in (message.why or "")
    lived.pass_time(minutes=1)
    await end(lived, await claim(lived), SENT)
    message = await message_of(lived.context, one)
    assert (message.state, message.maybe_sent) == (MessageState.SENT, True)


async def test_a_server_that_never_confirms_does_not_get_the_same_mail_for_three_days(lived: Lived) -> None:
    (one,) = await post(lived.context, ANN)
    for _ in range(MOST_UNKNOWN):
        effect = await end(lived, await claim(lived), SILENT)
        lived.pass_time(minutes=61)
    assert effect.startswith(f"dead: {MOST_UNKNOWN} attempts without an answer")
    assert len(await life_of(lived.context, one)) == MOST_UNKNOWN


async def test_a_suspended_worker_cannot_overwrite_the_result_of_the_one_that_took_over(lived: Lived) -> None:
    (one,) = await post(lived.context, ANN)
    slept = await claim(lived)
    await lose_lease(lived)
    took_over = await claim(lived)
    for outcome in (BUSY, NO_SUCH, SILENT):
        assert (await end(lived, slept, outcome)).startswith("refused: the lease was lost")
        assert (await message_of(lived.context, one)).lease_token == took_over.token
    await end(lived, took_over, SENT)
    assert (await end(lived, slept, NO_SUCH)).startswith("refused")
    assert (await message_of(lived.context, one)).state is MessageState.SENT
    first, second = await life_of(lived.context, one)
    assert (first.outcome, second.outcome) == ("unknown", "sent")
    assert "reported too late to count: permanent 550" in (first.text or "")


async def test_a_suspended_worker_cannot_begin_a_message_that_it_no_longer_holds(lived: Lived) -> None:
    await post(lived.context, ANN)
    slept = await claim(lived, begin=False)
    lived.pass_time(minutes=3)
    async with lived.context.database.write() as tx:
        assert await lease.begin(tx, [slept], lived.time[0]) == frozenset()  # ran out, though nobody swept yet
        await take_back_leases(tx, lived.time[0])
    await claim(lived)
    async with lived.context.database.write() as tx:
        assert await lease.begin(tx, [slept], lived.time[0]) == frozenset()


async def test_only_one_attempt_is_begun_under_one_claim(lived: Lived) -> None:
    (one,) = await post(lived.context, ANN)
    held = await claim(lived)
    async with lived.context.database.write() as tx:
        assert await lease.begin(tx, [held], lived.time[0]) == frozenset()
    assert len(await life_of(lived.context, one)) == 1


@pytest.mark.parametrize("meanwhile", ["unknown", "queued", "dead", "leased", "sent", "moved"])
async def test_a_late_report_that_it_was_sent_always_counts(lived: Lived, meanwhile: str) -> None:
    (one,) = await post(lived.context, ANN, *((HOOK,) if meanwhile == "moved" else ()))
    slept = await claim(lived)
    await lose_lease(lived)
    if meanwhile != "unknown":
        took_over = await claim(lived)
        outcomes = {"queued": BUSY, "dead": NO_SUCH, "moved": NO_SUCH, "sent": SENT}
        if meanwhile in outcomes:
            await end(lived, took_over, outcomes[meanwhile])
    assert (await message_of(lived.context, one)).state == meanwhile
    assert (await end(lived, slept, SENT)).startswith("sent")
    assert (await message_of(lived.context, one)).state is MessageState.SENT
    first = (await life_of(lived.context, one))[0]
    assert first.outcome == "sent"
    assert "recorded before as unknown: lost the worker died or was cut off" in (first.text or "")


async def test_a_result_that_comes_twice_changes_nothing(lived: Lived) -> None:
    (one,) = await post(lived.context, ANN)
    held = await claim(lived)
    await end(lived, held, SENT)
    message, life = await message_of(lived.context, one), await life_of(lived.context, one)
    lived.pass_time(days=1)
    assert await end(lived, held, SENT) == "sent: known already"
    assert (await end(lived, held, NO_SUCH)).startswith("refused")
    assert (await message_of(lived.context, one), await life_of(lived.context, one)) == (message, life)


async def test_sent_is_refused_from_a_token_that_began_no_attempt(lived: Lived) -> None:
    (one,) = await post(lived.context, ANN)
    assert await end(lived, Claim(one, "lse_made_up"), SENT) == "refused: no attempt was begun under this token"
    assert await end(lived, Claim("msg_made_up", "lse_made_up"), SENT) == "refused: there is no such message"
    assert (await message_of(lived.context, one)).state is MessageState.QUEUED


async def test_a_result_of_an_attempt_that_was_not_begun_is_written(lived: Lived) -> None:
    (one,) = await post(lived.context, ANN)
    await end(lived, await claim(lived, begin=False), SENT)
    (attempt,) = await life_of(lived.context, one)
    assert (attempt.outcome, attempt.number) == ("sent", 1)


async def test_a_late_sent_result_cancels_the_successor_that_was_not_sent_yet(lived: Lived) -> None:
    (one,) = await post(lived.context, ANN, HOOK)
    slept = await claim(lived)
    await lose_lease(lived)
    await end(lived, await claim(lived), NO_SUCH)
    successor = (await message_of(lived.context, one)).moved_to or ""
    assert (await message_of(lived.context, successor)).state is MessageState.QUEUED
    await end(lived, slept, SENT)
    spared = await message_of(lived.context, successor)
    assert (spared.state, spared.attempts) == (MessageState.SENT, 0)
    assert spared.why == f"its predecessor {one} was sent by smtp after all"
