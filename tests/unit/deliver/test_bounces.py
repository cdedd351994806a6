"""What a notice does to a message in each state, and to its recipient's address, with a real database."""

from datetime import timedelta
from pathlib import Path

import pytest

from app.core.ids import new_id
from app.decide import bounced_addresses as decide_addresses
from app.deliver import returned
from app.deliver.bounces import STILL_NEWS_FOR, report_arrived
from app.domain.message import MessageState
from app.domain.own_address import AddressKind
from app.domain.recipient import Address
from app.domain.returned_mail import DeliveryReport, ReturnedMail, ReturnKind, Via
from app.store import returned_mails
from app.store.monitoring import bounced_without_successor
from app.store.returned_mails import all_bounced_addresses, returned_about
from tests.support.bounces import notice
from tests.support.context import SystemUnderTest, open_system
from tests.support.outbox import message_of, post

ANN, AGAIN, FILE = (
    Address("smtp", "ann@example.org"),
    Address("mapi", "ann@example.org"),
    Address("file", "a@home.example"),
)
NO_SUCH = DeliveryReport(ReturnKind.BOUNCED, "550 5.1.1 no such user", "ann@example.org", "5.1.1", is_permanent=True)


async def arrive(system: SystemUnderTest, about: str, report: DeliveryReport = NO_SUCH) -> str | None:
    async with system.context.database.write() as tx:
        mail = ReturnedMail(new_id("ret"), system.time[0], Via.SMTP, AddressKind.BOUNCE, about, "", b"")
        return await report_arrived(system.context, tx, mail, report, system.time[0])


@pytest.mark.parametrize(
    ("state", "after", "has_successor"),
    [
        ("sent", "bounced", True),
        ("unknown", "bounced", True),
        ("queued", "bounced", True),
        ("dead", "dead", False),
        ("moved", "moved", False),
        ("bounced", "bounced", False),
        ("leased", "leased", False),
    ],
)
async def test_a_notice_at_any_time(system: SystemUnderTest, state: str, after: str, has_successor: bool):
    (one,) = await post(system.context, ANN, FILE, state=MessageState(state), maybe_sent=state == "unknown")
    words = await arrive(system, one)
    message = await message_of(system.context, one)
    assert (message.state, message.moved_to is not None) == (after, has_successor)
    assert (words is None) == (state == "leased"), "while it is being sent, the notice waits"
    if message.moved_to is not None:
        successor = await message_of(system.context, message.moved_to)
        assert (successor.transport, successor.state) == ("file", "queued")
        assert successor.why == "by smtp to ann@example.org it came back: 550 5.1.1 no such user"


async def test_a_notice_that_comes_twice_makes_one_successor(system: SystemUnderTest):
    (one,) = await post(system.context, ANN, FILE, state=MessageState.SENT)
    await arrive(system, one)
    first = await message_of(system.context, one)
    assert "bounced already" in (await arrive(system, one) or "")
    assert await message_of(system.context, one) == first


async def test_a_notice_that_comes_months_later_sends_nothing(system: SystemUnderTest):
    (one,) = await post(system.context, ANN, FILE, state=MessageState.SENT)
    system.pass_time(seconds=(STILL_NEWS_FOR + timedelta(days=60)).total_seconds())
    await arrive(system, one)
    message = await message_of(system.context, one)
    assert (message.state, message.moved_to) == ("bounced", None)
    assert "too late" in (message.why or "")


async def test_a_notice_about_a_message_that_is_gone_is_harmless(system: SystemUnderTest):
    assert await arrive(system, new_id("msg")) == "the message is no longer kept"


async def test_the_successor_takes_another_address_if_there_is_one(system: SystemUnderTest):
    (one,) = await post(system.context, ANN, AGAIN, FILE, state=MessageState.SENT)
    await arrive(system, one)
    moved_to = (await message_of(system.context, one)).moved_to
    assert (await message_of(system.context, moved_to or "")).transport == "file"


async def test_an_alert_that_nobody_gets_is_counted(system: SystemUnderTest, caplog: pytest.LogCaptureFixture):
    (one,) = await post(system.context, ANN, state=MessageState.SENT)
    await arrive(system, one)
    assert "the recipient has no other transport" in ((await message_of(system.context, one)).why or "")
    async with system.context.database.read() as tx:
        assert await bounced_without_successor(tx, system.time[0] - timedelta(days=1)) == 1


async def test_a_mail_that_cannot_be_read_is_set_aside_and_the_next_one_read(
    system: SystemUnderTest, monkeypatch: pytest.MonkeyPatch
):
    (bad, good) = await post(system.context, ANN, FILE, count=2, state=MessageState.SENT)
    async with system.context.database.write() as tx:
        for about in (bad, good):
            mail = ReturnedMail(
                new_id("ret"), system.time[0], Via.SMTP, AddressKind.BOUNCE, about, "", notice("ann@example.org")
            )
            assert await returned_mails.add_returned_mail(tx, mail)
            assert not await returned_mails.add_returned_mail(tx, mail), "the same mail is stored once"
    real = returned.report_arrived

    async def broken(*arguments: object) -> str | None:
        if arguments[2].about_id == bad:  # type: ignore[attr-defined]
            raise ZeroDivisionError
        return await real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(returned, "report_arrived", broken)
    for _ in range(7):
        await returned.tick(system.context)
        system.pass_time(minutes=10)
    assert (await message_of(system.context, good)).state == "bounced"
    async with system.context.database.read() as tx:
        assert await returned_mails.due_returned_mails(tx, system.time[0], 9) == []
        assert [mail.result for mail in await returned_about(tx, good, 9)] == [ReturnKind.BOUNCED]


async def test_an_address_that_fails_is_reported_once_and_its_recovery_too(database_url: str, tmp_path: Path):
    async with open_system(database_url, tmp_path) as system:
        for _ in range(3):
            (one,) = await post(system.context, ANN, FILE, state=MessageState.SENT)
            await arrive(system, one)
            await decide_addresses.tick(system.context)
            await decide_addresses.tick(system.context)
            system.pass_time(minutes=5)
        async with system.context.database.read() as tx:
            (address,) = await all_bounced_addresses(tx)
        assert (address.in_a_row, address.fails, address.reported_at is not None) == (3, True, True)
        await post(
            system.context, ANN, FILE, state=MessageState.SENT, attempts=1, settled_at=system.pass_time(hours=25)
        )
        await decide_addresses.tick(system.context)
        async with system.context.database.read() as tx:
            assert len(await all_bounced_addresses(tx)) == 1, "the proof is not old enough"
        system.pass_time(hours=25)
        await decide_addresses.tick(system.context)
        async with system.context.database.read() as tx:
            assert await all_bounced_addresses(tx) == []
