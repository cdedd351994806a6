"""A message that its transport cannot send goes to the recipient's next one, with the same Message-ID and the bytes that fit."""

from datetime import timedelta

import pytest

from app.deliver import lease, sweep
from app.deliver.settle import settle
from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown
from app.domain.message import Bodies, Message, MessageState
from app.domain.recipient import Address
from tests.support.context import SystemUnderTest
from tests.support.outbox import BODIES, message_of, post, set_transports

ANN, ANN_AT_HOME = Address("smtp", "ann@example.org"), Address("smtp", "ann@home.example")
HOOK, DISK = Address("webhook", "https://hooks.example.org/a"), Address("file", "ann@example.org")
NO_SUCH, BUSY, SILENT = Permanent("550", "no such user"), Temporary("451", "later"), Unknown("timeout", "no answer")


async def attempt(system: SystemUnderTest, outcome: Outcome, transport: str = "smtp") -> tuple[str, bytes]:
    """Make one attempt at the only due message; return the result in words, and the bytes that were sent."""
    now = system.time[0]
    async with system.context.database.write() as tx:
        (leased,) = await lease.lease(tx, transport, 1, now, "worker:a", now + timedelta(minutes=2))
        await lease.begin(tx, [leased.claim], now)
    async with system.context.database.write() as tx:
        return await settle(tx, leased.parcel.id, leased.claim.token, outcome, now), leased.parcel.body


async def successor_of(system: SystemUnderTest, message_id: str) -> Message:
    message = await message_of(system.context, message_id)
    assert message.state is MessageState.MOVED
    successor = await message_of(system.context, message.moved_to or "")
    assert successor.moved_from == message_id
    return successor


async def test_a_permanent_failure_moves_to_the_next_transport_with_its_own_body(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN, HOOK)
    effect, _ = await attempt(system, NO_SUCH)
    assert effect == "moved: 550 no such user; goes by webhook instead"
    first, second = await message_of(system.context, one), await successor_of(system, one)
    assert (second.transport, second.address, second.place) == (HOOK.transport, HOOK.address, 1)
    assert (second.message_id, second.subject, second.urgency) == (first.message_id, first.subject, first.urgency)
    assert second.why == "smtp could not send it: 550 no such user"
    _, body = await attempt(system, Sent("204", ""), "webhook")
    assert body == BODIES.webhook
    assert (await message_of(system.context, second.id)).state is MessageState.SENT


async def test_every_transport_is_tried_once_and_then_the_message_is_dead(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, HOOK, ANN, ANN_AT_HOME)
    await attempt(system, NO_SUCH, "webhook")
    second = await successor_of(system, one)
    await attempt(system, NO_SUCH)
    third = await successor_of(system, second.id)
    assert third.address == ANN_AT_HOME.address
    effect, body = await attempt(system, NO_SUCH)
    assert effect.startswith("dead")
    assert body == BODIES.mail


@pytest.mark.parametrize("outcome", [BUSY, SILENT])
async def test_an_alert_that_waited_too_long_moves_and_says_whether_it_may_have_arrived(
    system: SystemUnderTest, outcome: Outcome
) -> None:
    (one,) = await post(system.context, ANN, HOOK)
    system.pass_time(minutes=14)
    await attempt(system, outcome)
    assert (await message_of(system.context, one)).moved_to is None
    system.pass_time(minutes=2)
    await attempt(system, outcome)
    second = await successor_of(system, one)
    assert second.maybe_sent is isinstance(outcome, Unknown)
    assert ("this may be the second one" in (second.why or "")) is isinstance(outcome, Unknown)
    assert second.move_on_at - second.created_at == timedelta(minutes=15)


async def test_an_alert_moves_even_if_no_worker_serves_its_transport(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, Address("mapi", "ann@example.org"), ANN)
    (lonely,) = await post(system.context, Address("mapi", "bob@example.org"))
    (summary,) = await post(system.context, Address("mapi", "ann@example.org"), ANN, is_alert=False)
    system.pass_time(minutes=14)
    await sweep.tick(system.context)
    assert (await message_of(system.context, one)).state is MessageState.QUEUED
    system.pass_time(minutes=1)
    await sweep.tick(system.context)
    assert (await successor_of(system, one)).transport == "smtp"
    assert [(await message_of(system.context, other)).state for other in (lonely, summary)] == ["queued", "queued"]


async def test_a_summary_waits_for_its_transport(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN, HOOK, is_alert=False)
    system.pass_time(hours=1)
    await attempt(system, BUSY)
    assert (await message_of(system.context, one)).state is MessageState.QUEUED
    system.pass_time(days=3)
    await attempt(system, BUSY)
    assert (await successor_of(system, one)).transport == "webhook"


async def test_a_summary_that_may_have_arrived_is_not_sent_by_another_transport(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN, HOOK, is_alert=False)
    await attempt(system, SILENT)
    system.pass_time(minutes=1)
    await attempt(system, NO_SUCH)
    message = await message_of(system.context, one)
    assert (message.state, message.maybe_sent) == (MessageState.DEAD, True)


async def test_a_transport_without_a_matching_body_is_skipped(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN, HOOK, DISK, bodies=Bodies(mail=BODIES.mail))
    await attempt(system, NO_SUCH)
    assert (await successor_of(system, one)).transport == "file"


async def test_the_recipients_current_transports_are_used_and_none_is_tried_twice(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN)
    recipient = (await message_of(system.context, one)).recipient_id
    async with system.context.database.write() as tx:
        await set_transports(tx, recipient, HOOK, ANN)
    await attempt(system, NO_SUCH)
    assert (await successor_of(system, one)).transport == "webhook"
    effect, _ = await attempt(system, NO_SUCH, "webhook")
    assert effect.startswith("dead")


async def test_a_changed_recipient_does_not_hold_up_the_sweep(system: SystemUnderTest) -> None:
    (one,) = await post(system.context, ANN, ANN_AT_HOME)
    recipient = (await message_of(system.context, one)).recipient_id
    async with system.context.database.write() as tx:
        await set_transports(tx, recipient, ANN, ANN)
    system.pass_time(minutes=20)
    await sweep.tick(system.context)
    message = await message_of(system.context, one)
    assert (message.state, message.move_on_at) == (MessageState.QUEUED, message.give_up_at)
