"""The service's side of the Windows relay, over real HTTP on both databases: leases, receipts in any order, and failover."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.deliver import relays as deliver_relays
from app.deliver import sweep
from app.domain.message import MessageState
from programs.protocol.relay import DoctorPoint
from tests.support.api import Api, serving
from tests.support.outbox import MAIL, message_of, post
from tests.support.outbox_states import (
    BY_MAPI,
    BY_SMTP,
    DEAD,
    LEASED,
    QUEUED,
    SENT,
    UNKNOWN,
    later,
    state_of,
    successor_of,
)
from tests.support.relay import ScriptedRelay, add_relay


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, log_level="error") as api:
        yield api


async def test_a_message_is_sent_by_a_relay_and_its_evidence_is_shown(api: Api) -> None:
    relay = await add_relay(api)
    (one,) = await post(api.context, BY_MAPI)
    (leased,) = await relay.lease()
    assert (leased.id, leased.mime, leased.recipient, leased.is_alert) == (one, MAIL, "ann@example.org", True)
    assert await state_of(api, one) is LEASED
    assert await relay.begin(leased) == {one}
    taken = await relay.hand_in(leased, "sent", "left the Outbox", proof="found in Sent Items", search_key="ab12")
    assert taken.is_final
    message = await api.tell("GET", f"/v1/messages/{one}")
    (attempt,) = message["tries"]
    assert (message["state"], attempt["outcome"], attempt["code"]) == ("sent", "sent", "mapi sent")
    assert attempt["evidence"] == {"proof": "found in Sent Items", "search_key": "ab12"}
    assert attempt["text"] == "left the Outbox"
    assert attempt["holder"] == f"relay:{relay.id}"
    again = await relay.hand_in(leased, "sent", "left the Outbox")
    assert (again.is_final, again.result) == (True, "sent: known already")


async def test_a_waiting_relay_gets_a_message_at_once(api: Api) -> None:
    relay = await add_relay(api)
    waiting = asyncio.create_task(relay.lease(wait_s=20))
    await asyncio.sleep(0.3)
    (one,) = await post(api.context, BY_MAPI)
    api.context.wakeups.wake("messages")
    async with asyncio.timeout(3):
        assert [leased.id for leased in await waiting] == [one]


async def test_a_waiting_relay_learns_of_a_pause(api: Api) -> None:
    relay = await add_relay(api)
    waiting = asyncio.create_task(relay.ask(wait_s=20))
    await asyncio.sleep(0.3)
    await api.tell("POST", f"/v1/relays/{relay.id}:pause", json={"why": "we move the server"})
    async with asyncio.timeout(3):
        answer = await waiting
    assert (answer.messages, answer.wanted.is_paused) == ([], True)
    assert "we move the server" in answer.wanted.why


async def test_a_pause_with_a_long_reason_reaches_the_relay(api: Api) -> None:
    relay = await add_relay(api)
    await api.tell("POST", f"/v1/relays/{relay.id}:pause", json={"why": "x" * 2000})
    assert (await relay.ask()).wanted.is_paused
    assert (await relay.beat()).is_paused


async def test_leases_that_a_relay_does_not_know_of_are_returned(api: Api) -> None:
    """The response to its last request was lost: the message must not wait until the lease expires."""
    relay = await add_relay(api)
    (one,) = await post(api.context, BY_MAPI)
    (lost,) = await relay.lease()
    (found,) = await relay.lease()
    assert (found.id, found.token != lost.token) == (one, True)
    assert await relay.lease(found) == []
    assert await relay.begin(lost) == set(), "the first lease is over"
    assert await relay.begin(found) == {one}


@pytest.mark.parametrize(
    ("outcome", "evidence", "state"),
    [
        ("bad_recipient", {}, DEAD),
        ("bad_message", {}, DEAD),
        ("transient", {}, QUEUED),
        ("timeout", {}, QUEUED),
        ("needs_ui", {}, QUEUED),
        ("not_tight", {}, QUEUED),
        ("stuck", {"aborted": True}, QUEUED),
        ("stuck", {"aborted": False}, DEAD),
        ("unknown", {"looked": True}, DEAD),
        ("unknown", {"looked": False}, LEASED),
        ("queued", {}, LEASED),
        ("handed_over", {"proof": "none"}, DEAD),
        ("lost_characters", {"characters_lost": 2}, QUEUED),
    ],
)
async def test_what_each_outcome_means_without_another_transport(
    api: Api, outcome: str, evidence: dict[str, Any], state: MessageState
) -> None:
    relay = await add_relay(api)
    (one,) = await post(api.context, BY_MAPI)
    await relay.send(outcome=outcome, **evidence)
    message = await message_of(api.context, one)
    assert message.state is state
    assert message.maybe_sent is (state is DEAD and outcome in ("stuck", "unknown", "handed_over"))
    assert await relay.lease() == [], "never at once again"


@pytest.mark.parametrize(
    ("outcome", "evidence", "is_paused", "is_broken", "asks_doctor"),
    [
        ("needs_ui", {}, True, False, True),
        ("unknown", {"looked": True, "cause": "needs_ui"}, True, False, True),
        ("logon_failed", {}, False, True, True),
        ("bitness", {}, False, True, True),
        ("profile_missing", {}, False, True, True),
        ("unknown", {"looked": True, "cause": "logon_failed"}, False, True, True),
        ("stuck", {"aborted": True}, False, True, False),
        ("stuck", {"aborted": False}, False, True, False),
        ("bad_recipient", {}, False, False, False),
        ("handed_over", {"proof": "none"}, False, False, False),
        ("lost_characters", {"characters_lost": 2}, False, False, False),
    ],
)
async def test_an_alert_takes_the_next_transport(
    api: Api, outcome: str, evidence: dict[str, Any], is_paused: bool, is_broken: bool, asks_doctor: bool
) -> None:
    relay = await add_relay(api)
    (one,) = await post(api.context, BY_MAPI, BY_SMTP)
    await relay.send(outcome=outcome, **evidence)
    successor = await successor_of(api, one)
    assert (successor["transport"], successor["state"]) == ("smtp", "queued")
    assert outcome in successor["why"]
    assert successor["message_id"] == (await message_of(api.context, one)).message_id
    may_be_second = evidence.get("aborted") is False or "looked" in evidence or outcome == "handed_over"
    assert ("may be the second one" in successor["why"]) is may_be_second
    shown = await relay.shown()
    assert (shown["paused_at"] is not None) is is_paused
    assert (shown["broken_at"] is not None) is is_broken
    assert (shown["doctor_asked_at"] is not None) is asks_doctor
    assert "could not send it" in successor["moved_why"]


async def test_a_summary_that_may_have_been_sent_is_not_sent_twice(api: Api) -> None:
    relay = await add_relay(api)
    (one,) = await post(api.context, BY_MAPI, BY_SMTP, is_alert=False)
    await relay.send(outcome="unknown", looked=True)
    message = await message_of(api.context, one)
    assert (message.state, message.maybe_sent) == (DEAD, True)


async def test_a_transient_failure_is_tried_again_by_the_same_relay(api: Api) -> None:
    first, second = await add_relay(api, "first"), await add_relay(api, "second")
    (one,) = await post(api.context, BY_MAPI)
    (leased,) = await first.send(outcome="transient")
    async with api.context.database.write() as tx:
        now = api.context.clock() + timedelta(minutes=5)
        assert (await deliver_relays.take_leases(tx, second.id, 5, (), now))[1] == []
        (again,) = (await deliver_relays.take_leases(tx, first.id, 5, (), now))[1]
    assert (again.claim.message_id, again.claim.token != leased.token) == (one, True)


async def test_a_receipt_of_a_lost_lease_counts_if_it_was_sent_and_is_never_undone(api: Api) -> None:
    relay = await add_relay(api)
    (one,) = await post(api.context, BY_MAPI)
    (leased,) = await relay.lease()
    await relay.begin(leased)
    await sweep.tick(later(api.context, minutes=3))
    assert await state_of(api, one) is UNKNOWN
    assert (await relay.hand_in(leased, "transient", "no")).result.startswith("refused")
    assert await state_of(api, one) is UNKNOWN
    assert (await relay.hand_in(leased, "sent", "left the Outbox")).is_final
    assert await state_of(api, one) is SENT
    await relay.hand_in(leased, "transient", "no")
    assert await state_of(api, one) is SENT


async def test_a_message_that_may_have_been_sent_is_marked_when_leased_again(api: Api) -> None:
    relay, other = await add_relay(api), await add_relay(api, "other")
    await post(api.context, BY_MAPI)
    (leased,) = await relay.lease()
    await relay.begin(leased)
    await sweep.tick(later(api.context, minutes=3))
    async with api.context.database.write() as tx:
        now = api.context.clock() + timedelta(minutes=3)
        assert (await deliver_relays.take_leases(tx, other.id, 5, (), now))[1] == [], (
            "only the first can know what it did"
        )
        (again,) = (await deliver_relays.take_leases(tx, relay.id, 5, (), now))[1]
    assert again.maybe_sent


async def test_a_relay_learns_whether_a_message_could_go_another_way(api: Api) -> None:
    relay = await add_relay(api)
    (alone,) = await post(api.context, BY_MAPI)
    (with_smtp,) = await post(api.context, BY_MAPI, BY_SMTP)
    assert {one.id: one.has_other_way for one in await relay.lease()} == {alone: False, with_smtp: True}


async def test_renewing_keeps_a_lease(api: Api) -> None:
    relay = await add_relay(api)
    (one,) = await post(api.context, BY_MAPI)
    (leased,) = await relay.lease()
    await relay.begin(leased)
    assert await relay.renew(leased) == {one}
    await sweep.tick(later(api.context, seconds=60))
    assert await state_of(api, one) is LEASED
    await sweep.tick(later(api.context, seconds=120))
    assert await relay.renew(leased) == set()


async def test_two_relays_with_one_key_share_the_work_and_send_nothing_twice(api: Api) -> None:
    """A host was copied with its key. Each relay may take back what the other has not begun; nothing worse happens."""
    relay = await add_relay(api)
    begun, waiting = sorted(await post(api.context, BY_MAPI) + await post(api.context, BY_MAPI))
    copy = ScriptedRelay(api, relay.id, relay.key)
    first = {one.id: one for one in await relay.lease()}
    assert await relay.begin(first[begun]) == {begun}
    (taken,) = await copy.lease()
    assert taken.id == waiting, "what was begun stays with the one that began it"
    assert await relay.begin(first[waiting]) == set()
    assert await copy.begin(taken) == {waiting}
    assert (await relay.hand_in(first[begun], "sent")).is_final
    assert (await copy.hand_in(taken, "sent")).is_final
    assert (await relay.hand_in(first[waiting], "transient", "it was not let begin")).result.startswith("refused")
    assert [await state_of(api, one) for one in (begun, waiting)] == [SENT, SENT]


async def test_a_test_is_sent_by_the_tested_relay_and_its_attempts_can_be_read(api: Api) -> None:
    first, second = await add_relay(api, "first"), await add_relay(api, "second")
    queued = await api.tell("POST", f"/v1/relays/{second.id}:test", json={"address": "admin@example.org"})
    assert await first.lease() == []
    (leased,) = await second.send()
    assert leased.id == queued["message_id"]
    assert b"Message-ID: " + leased.message_id.encode() in leased.mime
    assert (await api.tell("GET", f"/v1/messages/{leased.id}"))["state"] == "sent"


async def test_the_doctors_report_is_shown_line_by_line(api: Api) -> None:
    relay = await add_relay(api)
    await api.tell("POST", f"/v1/relays/{relay.id}:doctor")
    wanted = await relay.beat()
    assert wanted.doctor_asked
    line = DoctorPoint("mail client", "fail", "none is installed", "install Outlook")
    await relay.beat(line, answers=wanted.doctor_asked, doctor_at="2026-11-24T01:00:00+00:00", waiting=3, sent=7)
    shown = await relay.shown()
    assert shown["doctor"] == [line.__dict__]
    assert (shown["host"], shown["client"], shown["in_spool"], shown["sent"]) == ("MAIL01", "Microsoft Outlook", 3, 7)


async def test_an_invalid_request_is_refused_with_the_name_of_the_field(api: Api) -> None:
    relay = await add_relay(api)
    for path, body, field in [
        ("/v1/relay/lease", b'{"most": 1000}', "most"),
        ("/v1/relay/lease", b"[]", "body"),
        ("/v1/relay/heartbeat", b"{}", "version"),
        ("/v1/relay/receipts", b'{"receipts": [{"id": "m", "token": "t", "outcome": "lost"}]}', "outcome"),
        ("/v1/relay/begin", b'{"claims": [{"id": 7}]}', "id"),
        ("/v1/relay/renew", b"\xff", "body"),
    ]:
        answer = await api.ask("POST", path, key=relay.key, content=body)
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["field"]) == (422, "bad_shape", field), path
    assert (await api.ask("POST", "/v1/relay/lease", content=b"{}")).status_code == 403, (
        "an admin's key is none of a relay's"
    )


async def test_a_deleted_relay_is_refused(api: Api) -> None:
    relay: ScriptedRelay = await add_relay(api)
    await api.tell("DELETE", f"/v1/relays/{relay.id}")
    api.app.state.authenticator.forget()
    assert (await api.ask("POST", "/v1/relay/lease", key=relay.key, content=b"{}")).status_code == 401


@pytest.mark.parametrize("moment", ["leased", "begun", "lost"])
async def test_a_relay_cannot_use_the_lease_of_another(api: Api, moment: str) -> None:
    ours, other = await add_relay(api, "ours"), await add_relay(api, "other")
    (one,) = await post(api.context, BY_MAPI)
    (leased,) = await ours.lease()
    if moment != "leased":
        assert await ours.begin(leased) == {one}
    if moment == "lost":
        await sweep.tick(later(api.context, minutes=3))
    before = await api.tell("GET", f"/v1/messages/{one}")
    assert await other.begin(leased) == set()
    assert await other.renew(leased) == set()
    for outcome in ("sent", "bad_recipient", "queued"):
        taken = await other.hand_in(leased, outcome, "says another relay")
        assert (taken.is_final, taken.result) == (True, "refused: this relay never had this lease")
    assert await api.tell("GET", f"/v1/messages/{one}") == before
