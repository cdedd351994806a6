"""Which relay sends for whom, and what happens to messages, and who is notified, when no relay is fit."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.decide import relays as relay_clock
from app.decide import tick as decide
from app.deliver import relays as deliver_relays
from app.deliver import sweep
from app.store.monitoring import check_up
from tests.support.api import Api, serving
from tests.support.outbox import post
from tests.support.outbox_states import (
    BY_MAPI,
    BY_SMTP,
    QUEUED,
    SENT,
    UNKNOWN,
    later,
    state_of,
    successor_of,
)
from tests.support.relay import add_relay, change


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, log_level="error") as api:
        yield api


async def test_each_relay_sends_only_for_its_customers_and_recipients(api: Api) -> None:
    acme = (await api.tell("POST", "/v1/customers", json={"name": "Acme"}))["id"]
    bolt = (await api.tell("POST", "/v1/customers", json={"name": "Bolt"}))["id"]
    for_acme, for_bolt = await add_relay(api, "a", customers=[acme]), await add_relay(api, "b", customers=[bolt])
    (to_acme,) = await post(api.context, BY_MAPI, customer_id=acme)
    (to_bolt,) = await post(api.context, BY_MAPI, customer_id=bolt)
    (to_nobody,) = await post(api.context, BY_MAPI, BY_SMTP)
    assert [one.id for one in await for_acme.lease()] == [to_acme]
    assert [one.id for one in await for_bolt.lease()] == [to_bolt]
    await deliver_relays.tick(api.context)
    assert "no relay sends for it" in (await successor_of(api, to_nobody))["why"]
    refused = await api.ask("POST", "/v1/relays", json={"name": "c", "customers": ["cus_" + "0" * 28]})
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_customer")


@pytest.mark.parametrize("trouble", ["silent", "paused", "says", "behind"])
async def test_messages_of_an_unfit_relay_move_and_its_administrators_are_notified(api: Api, trouble: str) -> None:
    relay = await add_relay(api)
    (alert,) = await post(api.context, BY_MAPI, BY_SMTP)
    (summary,) = await post(api.context, BY_MAPI, BY_SMTP, is_alert=False)
    (alone,) = await post(api.context, BY_MAPI)
    context = api.context
    if trouble == "silent":
        context = later(context, minutes=6)
    elif trouble == "behind":
        context = later(context, minutes=16)
        await relay.beat()
        async with context.database.write() as tx:
            await change(tx, relay.id, seen_at=context.clock())
    elif trouble == "paused":
        await api.tell("POST", f"/v1/relays/{relay.id}:pause", json={"why": "moving"})
    else:
        await relay.beat(paused_why="the doctor found that the store is not tight")
    await deliver_relays.tick(context)
    for one in (alert, summary):
        successor = await successor_of(api, one)
        assert (successor["transport"], "mail01" in successor["why"]) == ("smtp", True), successor
    assert await state_of(api, alone) is QUEUED, "it has no other way, and waits"
    await relay_clock.tick(context)
    await relay_clock.tick(context)
    await decide.tick(context)
    (opened,) = await api.items("/v1/alerts")
    assert "mail01" in opened["reason"] + str(opened)
    events = await api.items("/v1/events")
    assert len(events) == 1, "reported once"
    assert "mail01" in events[0]["message"]


async def test_what_a_silent_relay_may_have_sent_is_sent_again_only_if_it_is_an_alert(api: Api) -> None:
    relay = await add_relay(api)
    (alert,) = await post(api.context, BY_MAPI, BY_SMTP)
    (summary,) = await post(api.context, BY_MAPI, BY_SMTP, is_alert=False)
    leased = {one.id: one for one in await relay.lease()}
    assert await relay.begin(*leased.values()) == {alert, summary}
    context = later(api.context, minutes=6)
    await sweep.tick(context)
    await deliver_relays.tick(context)
    successor = await successor_of(api, alert)
    assert (successor["transport"], successor["message_id"]) == ("smtp", leased[alert].message_id)
    assert "may be the second one" in successor["why"]
    assert await state_of(api, summary) is UNKNOWN, "a summary twice is worse than one that is late"
    for late in (leased[alert], leased[summary]):
        assert (await relay.hand_in(late, "sent", "left the Outbox")).result.startswith("sent: the message was")
        assert (await relay.hand_in(late, "sent", "left the Outbox")).result == "sent: known already"
    assert [await state_of(api, one) for one in (alert, summary, successor["id"])] == [SENT] * 3, "the successor stays"


async def test_the_alert_closes_when_the_relay_is_fit_again(api: Api) -> None:
    relay = await add_relay(api)
    await api.tell("POST", f"/v1/relays/{relay.id}:pause", json={})
    assert (await api.ask("POST", f"/v1/relays/{relay.id}:pause", json={})).status_code == 409
    await relay_clock.tick(api.context)
    await decide.tick(api.context)
    assert (await api.items("/v1/alerts"))[0]["closed_at"] is None
    resumed = await api.tell("POST", f"/v1/relays/{relay.id}:resume")
    assert (resumed["paused_at"], resumed["doctor_asked_at"] is not None) == (None, True)
    await relay_clock.tick(api.context)
    await decide.tick(later(api.context, seconds=1))
    assert (await api.items("/v1/alerts"))[0]["closed_at"] is not None


async def test_the_doctor_reports_a_relay_in_trouble_and_wants_no_expectation_for_it(api: Api) -> None:
    relay = await add_relay(api)
    await api.tell("POST", f"/v1/relays/{relay.id}:pause", json={"why": "moving"})
    await relay_clock.tick(api.context)
    await decide.tick(api.context)
    async with api.context.database.read() as tx:
        found = await check_up(tx, api.context.clock(), api.context.clock())
    assert (found.relays, found.jobs, found.jobs_without_expectation) == (1, 1, 0)
    (trouble,) = found.relay_troubles
    assert "mail01 is paused: moving" in trouble


async def test_a_stuck_outbox_is_reported_though_the_message_was_sent_by_another_transport(api: Api) -> None:
    relay = await add_relay(api)
    await post(api.context, BY_MAPI, BY_SMTP)
    await relay.send(outcome="stuck", aborted=True)
    assert "Outbox" in (await relay.shown())["wrong_now"]


async def test_messages_for_a_deleted_relay_are_sent_by_its_replacement(api: Api) -> None:
    old = await add_relay(api, "old")
    (unsent,) = await post(api.context, BY_MAPI)
    (doubtful,) = await post(api.context, BY_MAPI)
    (summary,) = await post(api.context, BY_MAPI, is_alert=False)
    leased = await old.lease()
    await old.begin(*(one for one in leased if one.id in (doubtful, summary)))
    await api.tell("DELETE", f"/v1/relays/{old.id}")
    await sweep.take_back_all_leases(api.context, "relay:")
    new = await add_relay(api, "new")
    await new.beat()
    await deliver_relays.tick(api.context)
    assert {one.id for one in await new.lease()} == {unsent, doubtful}, (
        "what may have left goes again only if it is an alert"
    )


async def test_a_test_of_a_relay_is_never_sent_by_another_relay(api: Api) -> None:
    silent = await add_relay(api, "silent")
    trial = await api.tell("POST", f"/v1/relays/{silent.id}:test", json={"address": "ann@example.org"})
    context = later(api.context, minutes=6)
    other = await add_relay(api, "other")
    async with context.database.write() as tx:
        await change(tx, other.id, seen_at=context.clock())
    await deliver_relays.tick(context)
    assert await other.lease() == []
    await api.tell("DELETE", f"/v1/relays/{silent.id}")
    await deliver_relays.tick(context)
    assert await other.lease() == []
    assert await state_of(api, trial["message_id"]) == QUEUED


async def judged(api: Api) -> list[tuple[str, bool]]:
    """Run the clock's checks and decide; return the agent of each alert, and whether it is open."""
    await relay_clock.tick(api.context)
    await decide.tick(api.context)
    agents = {agent["id"]: agent["name"] for agent in await api.items("/v1/agents")}
    return sorted((agents[one["agent_id"]], one["closed_at"] is None) for one in await api.items("/v1/alerts"))


async def test_the_alert_of_a_relay_closes_with_the_relay_and_continues_under_its_new_name(api: Api) -> None:
    relay = await add_relay(api, "old")
    await api.tell("POST", f"/v1/relays/{relay.id}:pause", json={"why": "moving"})
    assert await judged(api) == [("relay old", True)]
    await api.tell("PATCH", f"/v1/relays/{relay.id}", json={"name": "new"})
    assert await judged(api) == [("relay new", True), ("relay old", False)]
    await api.tell("DELETE", f"/v1/relays/{relay.id}")
    assert await judged(api) == [("relay new", False), ("relay old", False)]
    [newest, *_] = await api.items("/v1/events")
    assert newest["message"].startswith("the relay was deleted: ")
