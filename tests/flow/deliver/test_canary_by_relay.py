"""Canaries by relays: each relay has its own, which no other relay sends; a loss goes by another way, and a relay in trouble gets none."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.compose import canaries as compose_canaries
from app.compose import tick as compose
from app.context import AppContext
from app.decide import canaries as decide_canaries
from app.decide import tick as decide
from app.deliver import relays as deliver_relays
from app.deliver.canary import canary_arrived
from app.domain.canary import Canary
from app.store.canaries import CANARIES
from app.store.tables import canaries, messages
from tests.support.api import Api, serving
from tests.support.outbox_states import later
from tests.support.relay import ScriptedRelay, add_relay


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    settings = {"bounce_address": "bounces@example.org", "mail_in_port": 0, "log_level": "error"}
    async with serving(database_url, tmp_path, **settings) as api:
        yield api


async def rows(context: AppContext) -> list[Canary]:
    async with context.database.read() as tx:
        found = await tx.connection.execute(select(canaries).order_by(canaries.c.id))
        return [CANARIES.mapping.read(row) for row in found]


async def two_relays(api: Api) -> tuple[ScriptedRelay, ScriptedRelay]:
    one, two = [await add_relay(api, name, silent_after_s=3600) for name in ("one", "two")]
    await one.beat()
    await two.beat()
    return one, two


async def settle_decisions(context: AppContext) -> None:
    await decide_canaries.tick(context)
    while await decide.tick(context):
        pass
    await compose.tick(context)


async def test_each_relay_sends_its_own_canary(api: Api):
    one, two = await two_relays(api)
    await compose_canaries.tick(api.context)
    await compose_canaries.tick(api.context)
    first, second = sorted(await rows(api.context), key=lambda it: it.name)
    assert (first.name, second.name) == ("relay one", "relay two")
    assert [it.id for it in await two.lease()] == [second.message_id]
    await deliver_relays.tick(later(api.context, minutes=61))  # both are silent: nothing of theirs goes to another one
    assert [it.id for it in await one.lease()] == [first.message_id]


async def test_a_relay_in_trouble_gets_none_and_a_change_of_its_client_gets_one(api: Api):
    one, _ = await two_relays(api)
    await api.tell("POST", f"/v1/relays/{one.id}:pause", json={"why": "new hardware"})
    await compose_canaries.tick(api.context)
    assert [it.name for it in await rows(api.context)] == ["relay two"]
    await api.tell("POST", f"/v1/relays/{one.id}:resume")
    await one.beat(profile="Alerts")
    await compose_canaries.tick(api.context)
    await one.beat(profile="Other")
    soon = later(api.context, minutes=4)
    await compose_canaries.tick(soon)
    assert len(await rows(api.context)) == 2  # several changes in a row are one
    await one.beat(profile="Last")
    await compose_canaries.tick(later(api.context, minutes=5))
    await compose_canaries.tick(later(api.context, minutes=5))
    assert [it.name for it in await rows(api.context)].count("relay one") == 2


async def test_a_canary_lost_by_a_relay_is_reported_by_another_way_and_closes_under_its_old_name(api: Api):
    one, _ = await two_relays(api)
    await compose_canaries.tick(api.context)
    await one.send()
    recipient = (await api.items("/v1/recipients"))[0]
    ways = [{"transport": "mapi", "address": "ann@example.org"}, {"transport": "file", "address": "ann@example.org"}]
    await api.tell("PATCH", f"/v1/recipients/{recipient['id']}", json={"transports": ways})
    context = later(api.context, minutes=16)
    await settle_decisions(context)
    lost = next(it for it in await rows(context) if it.name == "relay one")
    assert "although relay one accepted it" in (lost.why or "")
    await compose.tick(later(api.context, minutes=18))
    async with context.database.read() as tx:
        (report,) = (await tx.connection.execute(select(messages).where(messages.c.is_alert))).all()
    assert (report.transport, report.place) == ("file", 1)
    await api.tell("PATCH", f"/v1/relays/{one.id}", json={"name": "new name"})
    async with context.database.write() as tx:
        assert await canary_arrived(tx, lost.id, context.clock(), [])
    await settle_decisions(later(api.context, minutes=20))
    alerts = await api.items("/v1/alerts")
    (alert,) = [it for it in alerts if "by relay one was lost" in it["message"]]
    assert alert["closed_at"] is not None


async def test_the_alert_about_a_deleted_relay_closes(api: Api):
    one, two = await two_relays(api)
    await compose_canaries.tick(api.context)
    await one.send()
    await two.send()
    await settle_decisions(later(api.context, minutes=16))
    assert len(await api.items("/v1/alerts", state="open")) == 2
    await api.ask("DELETE", f"/v1/relays/{one.id}")
    await settle_decisions(later(api.context, minutes=17))
    (left,) = await api.items("/v1/alerts", state="open")
    assert "by relay two was lost" in left["message"]
