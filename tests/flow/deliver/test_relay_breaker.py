"""A relay whose host cannot send: what waits takes other ways at once, and probes find out when it sends again."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.compose import tick as compose
from app.decide import relays as relay_clock
from app.decide import tick as decide
from app.deliver import relays as deliver_relays
from app.deliver import sweep
from app.domain.message import Bodies
from app.domain.recipient import Address
from app.store import outbox
from programs.protocol.relay import RECEIPTS, DoctorPoint, RelayReceipt, RelayReceipts
from tests.support.api import Api, serving
from tests.support.outbox import life_of, message_of, post
from tests.support.outbox_states import BY_MAPI, BY_SMTP, DEAD, QUEUED, later, state_of, successor_of
from tests.support.relay import ScriptedRelay, add_relay, change

WELL = DoctorPoint("logon", "ok", "without a dialog")


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, log_level="error") as api:
        yield api


async def be_due(api: Api, relay: ScriptedRelay) -> None:
    """Let the wait until the next probe be over."""
    async with api.context.database.write() as tx:
        await change(tx, relay.id, probe_at=api.context.clock())


async def make_due(api: Api, message_id: str) -> None:
    """Let the wait of a message be over."""
    async with api.context.database.write() as tx:
        held = (await outbox.lock(tx, [message_id]))[message_id]
        await outbox.save(tx, [replace(held.message, due_at=api.context.clock())])


async def test_after_one_stuck_message_all_others_take_the_next_way_at_once(api: Api) -> None:
    relay = await add_relay(api)
    alerts = [(await post(api.context, BY_MAPI, BY_SMTP))[0] for _ in range(6)]
    first, *held = await relay.lease(most=3)
    assert await relay.begin(first) == {first.id}
    await relay.hand_in(first, "stuck", "it stayed in the Outbox and was taken back", aborted=True)
    assert await relay.begin(*held) == set(), "what it had leased before is not sent into a full Outbox"
    await deliver_relays.tick(api.context)
    for alert in alerts:
        successor = await successor_of(api, alert)
        assert (successor["transport"], "Outbox" in successor["moved_why"]) == ("smtp", True), successor
    assert [len(await life_of(api.context, alert)) for alert in alerts] == [1, 0, 0, 0, 0, 0], "one was tried"
    late = await relay.hand_in(held[0], "transient", "the service did not let it begin")
    assert (late.is_final, await state_of(api, held[0].id)) == (True, "moved")


async def test_nothing_waits_behind_a_message_that_takes_more_than_half_a_minute(api: Api) -> None:
    """Before the relay knows that a message is stuck, minutes pass."""
    relay = await add_relay(api)
    alerts = [(await post(api.context, BY_MAPI, BY_SMTP))[0] for _ in range(6)]
    first, *held = await relay.lease(most=3)
    await relay.begin(first)
    await deliver_relays.tick(later(api.context, seconds=20))
    assert await state_of(api, alerts[5]) is QUEUED
    await deliver_relays.tick(later(api.context, seconds=31))
    await deliver_relays.tick(later(api.context, seconds=31))
    assert [await state_of(api, one) for one in alerts] == ["leased"] + ["moved"] * 5
    assert "busy with one message" in (await successor_of(api, alerts[5]))["moved_why"]
    assert await relay.begin(*held) == set()
    assert (await relay.shown())["wrong_now"] is None, "this is no trouble yet"
    await relay.hand_in(first, "sent", "it left the Outbox")
    (next_one,) = await post(api.context, BY_MAPI, BY_SMTP)
    assert [one.id for one in await relay.lease()] == [next_one]


async def test_a_message_in_doubt_that_the_relay_looks_for_holds_up_no_other(api: Api) -> None:
    relay = await add_relay(api)
    await post(api.context, BY_MAPI, BY_SMTP)
    (doubtful,) = await relay.lease()
    await relay.begin(doubtful)
    taken = await relay.hand_in(doubtful, "unknown", "the child was killed", looked=False, search_key="ab")
    assert not taken.is_final
    (attempt,) = await life_of(api.context, doubtful.id)
    assert (attempt.ended_at, attempt.code) == (None, "mapi unknown"), "its state so far is shown"
    assert "the child was killed" in (attempt.text or "")
    (alert,) = await post(api.context, BY_MAPI, BY_SMTP)
    await deliver_relays.tick(later(api.context, minutes=2))
    assert await state_of(api, alert) is QUEUED


async def test_a_message_without_another_way_is_the_probe_and_only_one_goes(api: Api) -> None:
    relay = await add_relay(api)
    await post(api.context, BY_MAPI, BY_SMTP)
    await relay.send(outcome="stuck", aborted=True)
    alone = [(await post(api.context, BY_MAPI))[0] for _ in range(3)]
    (with_another_way,) = await post(api.context, BY_MAPI, BY_SMTP, urgency=0)
    assert await relay.lease() == [], "the probe is not due yet"
    await be_due(api, relay)
    (probe,) = await relay.lease()
    assert probe.id in alone
    assert await relay.lease(probe) == [], "one at a time"
    await relay.begin(probe)
    await relay.hand_in(probe, "sent", "it left the Outbox")
    shown = await relay.shown()
    assert (shown["broken_at"], shown["wrong_now"]) == (None, None)
    assert {one.id for one in await relay.lease()} == {with_another_way, *alone} - {probe.id}


async def test_a_probe_goes_to_the_test_address_if_nothing_else_waits(api: Api) -> None:
    relay = await add_relay(api, test_address="postmaster@example.org")
    await post(api.context, BY_MAPI, BY_SMTP)
    await relay.send(outcome="stuck", aborted=True)
    assert await relay.lease() == []
    for outcome in ("stuck", "sent"):
        await be_due(api, relay)
        (probe,) = await relay.lease() or await relay.lease()
        assert probe.recipient == "postmaster@example.org"
        assert not probe.is_alert
        assert await relay.begin(probe) == {probe.id}
        await relay.hand_in(probe, outcome, "so the test says", aborted=True)
        assert await state_of(api, probe.id) == ("queued" if outcome == "stuck" else "sent")
        await make_due(api, probe.id)
    assert (await relay.shown())["broken_at"] is None


async def test_without_a_test_address_one_message_with_another_way_is_tried_after_an_hour(api: Api) -> None:
    relay = await add_relay(api)
    await post(api.context, BY_MAPI, BY_SMTP)
    await relay.send(outcome="stuck", aborted=True)
    await post(api.context, BY_MAPI, BY_SMTP, count=2)
    await be_due(api, relay)
    assert await relay.lease() == []
    async with api.context.database.write() as tx:
        await change(tx, relay.id, broken_at=api.context.clock() - timedelta(hours=1))
    assert len(await relay.lease()) == 1


async def test_the_first_test_names_the_address_of_the_probes_and_is_one_itself(api: Api) -> None:
    relay = await add_relay(api)
    await post(api.context, BY_MAPI, BY_SMTP)
    await relay.send(outcome="stuck", aborted=True)
    trial = await api.tell("POST", f"/v1/relays/{relay.id}:test", json={"address": "ann@example.org"})
    assert (await relay.shown())["test_address"] == "ann@example.org"
    assert [one.id for one in await relay.send()] == [trial["message_id"]]
    assert (await relay.shown())["broken_at"] is None


@pytest.mark.parametrize("outcome", ["logon_failed", "profile_missing", "incompatible_client", "not_tight", "bitness"])
async def test_what_the_doctor_finds_well_again_needs_no_person(api: Api, outcome: str) -> None:
    relay = await add_relay(api)
    await post(api.context, BY_MAPI, BY_SMTP)
    await relay.send(outcome=outcome)
    wanted = await relay.beat()
    assert (wanted.is_paused, wanted.doctor_asked != "") == (False, True)
    await relay.beat(DoctorPoint("logon", "fail", "0x80040111"), answers=wanted.doctor_asked)
    assert (await relay.shown())["broken_at"] is not None
    await relay.beat(WELL, answers=wanted.doctor_asked)
    assert (await relay.shown())["wrong_now"] is None
    (alert,) = await post(api.context, BY_MAPI, BY_SMTP)
    assert [one.id for one in await relay.lease()] == [alert]


async def test_timeouts_in_a_row_move_its_messages_to_a_fit_relay(api: Api) -> None:
    slow, other = await add_relay(api, "slow"), await add_relay(api, "other")
    alerts = [(await post(api.context, BY_MAPI))[0] for _ in range(4)]
    leased = await slow.lease()
    assert {one.id for one in leased} == set(alerts)
    for one in leased[:3]:
        await slow.begin(one)
        await slow.hand_in(one, "timeout", "no progress after logon within 60 s")
    assert "timeout after the other" in (await slow.shown())["wrong_now"]
    await deliver_relays.tick(api.context)
    assert {one.id for one in await other.lease()} == set(alerts), "at once, whatever they waited for"


async def test_a_success_between_two_timeouts_begins_the_count_again(api: Api) -> None:
    relay = await add_relay(api)
    for outcome in ("timeout", "timeout", "sent", "timeout", "timeout"):
        await post(api.context, BY_MAPI, BY_SMTP)
        (one, *_) = await relay.lease(most=1)
        await relay.begin(one)
        await relay.hand_in(one, outcome, "so the test says")
    assert (await relay.shown())["broken_at"] is None


async def test_a_receipt_that_comes_again_changes_the_relay_only_once(api: Api) -> None:
    relay = await add_relay(api)
    await post(api.context, BY_MAPI, BY_SMTP, count=2)
    sent, stuck = await relay.lease()
    await relay.begin(sent, stuck)
    for _ in range(2):
        await relay.hand_in(sent, "sent", "it left the Outbox")
    for _ in range(3):
        await relay.hand_in(stuck, "stuck", "taken back", aborted=True)
    before = await relay.shown()
    await relay.hand_in(sent, "sent", "it left the Outbox")
    assert await relay.shown() == before, "an old success does not close the breaker"
    assert before["broken_at"] is not None


async def test_an_open_breaker_keeps_no_request_of_the_relay_busy(api: Api) -> None:
    relay = await add_relay(api)
    await post(api.context, BY_MAPI)
    await relay.send(outcome="stuck", aborted=True)
    await post(api.context, BY_MAPI)
    assert not await deliver_relays.has_due_messages(api.context, relay.id)
    await be_due(api, relay)
    assert await deliver_relays.has_due_messages(api.context, relay.id)


MIB = 1024 * 1024


def mail(size: int) -> Bodies:
    return Bodies(mail=b"Subject: x\r\n\r\n" + b"x" * size)


@pytest.mark.slow
async def test_a_large_message_holds_up_no_small_ones_and_every_answer_can_be_read(api: Api) -> None:
    relay = await add_relay(api)
    large = [(await post(api.context, BY_MAPI, bodies=mail(20 * MIB), urgency=0))[0] for _ in range(2)]
    small = [(await post(api.context, BY_MAPI))[0] for _ in range(12)]
    first = [one.id for one in await relay.lease()]
    assert first == [large[0], *small[:9]], "the second large one waits for the next answer"
    second = await relay.send()  # what it does not name was lost, and comes again
    assert [one.id for one in second] == first
    assert [one.id for one in await relay.send()] == [large[1], *small[9:]]


async def test_what_no_relay_can_take_moves_on_with_the_reason(api: Api) -> None:
    relay = await add_relay(api)
    (alone,) = await post(api.context, BY_MAPI, bodies=mail(25 * MIB))
    (with_another_way,) = await post(api.context, BY_MAPI, BY_SMTP, bodies=mail(25 * MIB), is_alert=False)
    (small,) = await post(api.context, BY_MAPI)
    assert [one.id for one in await relay.lease()] == [small]
    await deliver_relays.tick(api.context)
    successor = await successor_of(api, with_another_way)
    assert (successor["transport"], "24 MiB" in successor["moved_why"]) == ("smtp", True)
    dead = await message_of(api.context, alone)
    assert (dead.state, "24 MiB" in (dead.why or "")) == (DEAD, True)


async def test_a_message_that_a_relay_held_tells_that_the_relay_was_cut_off(api: Api) -> None:
    relay = await add_relay(api)
    (one,) = await post(api.context, BY_MAPI, BY_SMTP)
    await relay.begin(*await relay.lease())
    await sweep.tick(later(api.context, minutes=2))
    (attempt,) = await life_of(api.context, one)
    assert (attempt.outcome, attempt.code) == ("unknown", "lost")
    assert (attempt.text or "").startswith("the relay was cut off")


async def alert_about(api: Api, relay: ScriptedRelay, *ways: Address) -> dict[str, Any]:
    """Have the relay fail, and return the message that tells the administrator, who is notified by these ways."""
    [admin] = await api.items("/v1/recipients")
    transports = [{"transport": way.transport, "address": way.address} for way in ways]
    await api.tell("PATCH", f"/v1/recipients/{admin['id']}", json={"transports": transports})
    await post(api.context, BY_MAPI, BY_SMTP)
    await relay.send(outcome="stuck", aborted=True)
    await relay_clock.tick(api.context)
    await decide.tick(api.context)
    await compose.tick(later(api.context, minutes=5))
    [found] = [one for one in await api.items("/v1/messages") if one["recipient_id"] == admin["id"]]
    await make_due(api, found["id"])
    return found


async def test_the_alert_about_a_relay_goes_by_a_transport_that_needs_no_relay(api: Api) -> None:
    relay = await add_relay(api)
    message = await alert_about(api, relay, BY_MAPI, BY_SMTP)
    assert (message["transport"], message["state"]) == ("smtp", "queued")


async def test_the_alert_about_a_relay_goes_by_another_relay_first(api: Api) -> None:
    relay = await add_relay(api)
    other = await add_relay(api, "other", customers=[(await api.items("/v1/customers"))[0]["id"]])
    message = await alert_about(api, relay, BY_MAPI)
    async with api.context.database.write() as tx:
        await change(tx, relay.id, broken_at=None, broken_by=None, probe_at=None)
    assert message["id"] not in {one.id for one in await relay.lease()}, "though it is well again, not by itself"
    await other.beat()
    assert message["id"] in {one.id for one in await other.lease()}


async def test_the_alert_about_the_only_relay_goes_by_it_as_a_probe_and_says_so(api: Api) -> None:
    relay = await add_relay(api)
    message = await alert_about(api, relay, BY_MAPI)
    await be_due(api, relay)
    (probe,) = await relay.lease()
    assert probe.id == message["id"]
    text = (
        (await api.ask("GET", f"/v1/messages/{message['id']}/raw"))
        .content.replace(b"=\r\n", b"")
        .replace(b"\r\n", b" ")
    )
    assert b"through the relay that it is about" in text


@pytest.mark.parametrize("cause", ["logon_failed", "timeout"])
async def test_what_failed_after_a_message_had_left_does_not_keep_the_relay_from_sending(api: Api, cause: str) -> None:
    relay = await add_relay(api)
    for _ in range(3):
        await post(api.context, BY_MAPI, BY_SMTP)
    await relay.send(cause=cause, looked=True)
    shown = await relay.shown()
    assert (shown["broken_at"], shown["wrong_now"]) == (None, None)


async def test_failures_from_before_the_breaker_opened_do_not_make_the_wait_for_a_probe_grow(api: Api) -> None:
    """Messages in doubt that turn out to be stuck, one after the other: six would end in an hour's wait."""
    relay = await add_relay(api)
    for _ in range(6):
        await post(api.context, BY_MAPI, BY_SMTP)
    await relay.send(outcome="stuck", aborted=False)
    wait = datetime.fromisoformat((await relay.shown())["probe_at"]) - api.context.clock()
    assert wait < timedelta(seconds=61)


async def test_an_address_that_no_test_can_reach_is_not_used_for_probes(api: Api) -> None:
    """Its refusal shows nothing of the Outbox, so that the breaker would stay open for ever."""
    relay = await add_relay(api, test_address="mistyped@example.org")
    await post(api.context, BY_MAPI, BY_SMTP)
    await relay.send(outcome="stuck", aborted=True)
    await be_due(api, relay)
    (probe,) = await relay.send(outcome="bad_recipient")
    assert probe.recipient == "mistyped@example.org"
    assert (await relay.shown())["test_address"] is None
    await api.tell("POST", f"/v1/relays/{relay.id}:test", json={"address": "postmaster@example.org"})
    await relay.send()
    shown = await relay.shown()
    assert (shown["test_address"], shown["broken_at"]) == ("postmaster@example.org", None)


@pytest.mark.parametrize("title", ["\x00", "\ud800", float("nan")])
async def test_evidence_that_no_database_accepts_does_not_hold_up_receipts(api: Api, title: object) -> None:
    """It would be refused with every receipt after it, for ever."""
    relay = await add_relay(api)
    await post(api.context, BY_MAPI, BY_SMTP)
    (mail,) = await relay.lease()
    await relay.begin(mail)
    receipt = RelayReceipt(mail.id, mail.token, "needs_ui", "a window", {"windows": [{"title": title}]})
    body = json.dumps(RelayReceipts([receipt]).as_json()).encode("ascii")
    answer = await api.ask("POST", RECEIPTS, key=relay.key, content=body)
    assert answer.status_code == 200, answer.text
    (attempt,) = await life_of(api.context, mail.id)
    assert attempt.evidence == {"windows": [{"title": "\ufffd" if isinstance(title, str) else None}]}


async def test_a_message_that_sticks_while_a_later_one_left_opens_no_breaker(api: Api) -> None:
    """Messages in doubt are looked for late: what they show of the Outbox is older than what was sent meanwhile."""
    relay = await add_relay(api)
    old = [(await post(api.context, BY_MAPI, BY_SMTP))[0] for _ in range(2)]
    doubtful = await relay.lease()
    await relay.begin(*doubtful)
    await post(api.context, BY_MAPI, BY_SMTP)
    (later_one,) = [one for one in await relay.lease(*doubtful) if one.id not in old]
    await relay.begin(later_one)
    await relay.hand_in(later_one, "sent", "it left the Outbox")
    for one in doubtful:
        await relay.hand_in(one, "stuck", "it stays in the Outbox and cannot be taken back", aborted=False)
        assert (await successor_of(api, one.id))["transport"] == "smtp"
    assert (await relay.shown())["broken_at"] is None


async def test_of_requests_at_the_same_time_only_one_gets_the_probe(api: Api) -> None:
    relay = await add_relay(api)
    await post(api.context, BY_MAPI, BY_SMTP)
    await relay.send(outcome="stuck", aborted=True)
    for _ in range(3):
        await post(api.context, BY_MAPI)
    await be_due(api, relay)
    got = await asyncio.gather(*(relay.lease(most=3) for _ in range(4)))
    assert sum(len(leased) for leased in got) == 1
