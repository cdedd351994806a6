"""The alert about a run that did not come says what was refused of its agent meanwhile."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select, update

from app.admin import purge
from app.core.clock import now
from app.decide import missed
from app.decide import tick as decide
from app.domain.refused_reports import RefusedReports
from app.intake.refused_reports import MOST, RefusedCounts
from app.store.excesses import add_refused, refused_of_agents
from app.store.tables import agents, jobs, refused_reports
from tests.support.api import ENROL_KEY, Api, serving

SUCCESS = {"job": "nightly", "outcome": "success"}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        long_ago = (now() - timedelta(days=2)).isoformat()
        await api.report(SUCCESS | {"agent": "sql01", "occurred_at": long_ago})
        await decide.tick(api.context)
        yield api


async def come_due(api: Api) -> None:
    """Expect a run of the job an hour ago, and decide that it did not come."""
    [job] = await api.items("/v1/jobs")
    await api.tell("PATCH", f"/v1/jobs/{job['id']}", json={"expectation": {"period_s": 86_400, "grace_s": 60}})
    async with api.context.database.write() as tx:
        past = {"next_due_at": now() - timedelta(hours=1), "overdue_at": now() - timedelta(minutes=1)}
        await tx.connection.execute(update(jobs).values(**past))
    await api.app.state.intake.refused.store()
    await missed.write_due_events(api.context)
    while await decide.tick(api.context):
        pass


async def missed_message(api: Api) -> str:
    await come_due(api)
    [alert] = [one for one in await api.items("/v1/alerts") if one["kind"] == "missed"]
    return str(alert["message"])


async def enrolment(api: Api, **limits: Any) -> str:
    [key] = await api.items("/v1/keys", kind="enrol")
    await api.tell("PATCH", f"/v1/keys/{key['id']}", json=limits)
    return ENROL_KEY


async def own_key(api: Api, **limits: Any) -> str:
    [agent] = await api.items("/v1/agents")
    body = {"kind": "agent", "name": "sql01", "agent_id": agent["id"], **limits}
    return str((await api.tell("POST", "/v1/keys", json=body))["key"])


async def send(api: Api, key: str, event: Any, times: int = 1) -> set[int]:
    return {(await api.ask("POST", "/v1/events", key=key, json=event)).status_code for _ in range(times)}


async def test_beyond_a_budget(api: Api) -> None:
    key = await own_key(api, bytes_a_day=1)
    assert await send(api, key, SUCCESS, 3) == {429}
    message = await missed_message(api)
    assert "; 3 reports of this agent were refused since " in message
    assert message.endswith("failures are accepted all the same (budget_bytes_a_day)")


async def test_by_the_limits_of_an_enrolment_key(api: Api) -> None:
    key = await enrolment(api, names=["web*"])
    assert await send(api, key, SUCCESS | {"agent": "sql01"}) == {403}
    assert "; 1 report of this agent was refused since " in (message := await missed_message(api))
    assert message.endswith("(enrol_name)")


async def test_as_invalid_or_too_large(api: Api) -> None:
    key = await own_key(api)
    assert await send(api, key, SUCCESS | {"agent": "web01"}, 2) == {422}
    assert await send(api, key, SUCCESS | {"log": "x" * 2_000_000}) == {413}
    headers = {"Content-Type": "image/png"}
    answer = await api.ask("POST", "/v1/events", key=key, content=b"\x89PNG", headers=headers)
    assert answer.status_code == 415
    assert "; 4 reports of this agent were refused since " in await missed_message(api)


async def test_what_was_refused_of_others_or_long_ago_is_not_named(api: Api) -> None:
    [agent] = await api.items("/v1/agents")
    assert await send(api, await enrolment(api, names=["sql*"]), SUCCESS | {"agent": "web01"}) == {403}
    long_ago = now() - timedelta(hours=14)
    one = RefusedReports(agent["id"], agent["customer_id"], long_ago, long_ago, 3, "beyond its budget")
    async with api.context.database.write() as tx:
        await add_refused(tx, [one])
    assert "refused" not in await missed_message(api)


async def test_an_agent_that_seems_silent(api: Api) -> None:
    assert await send(api, await own_key(api, bytes_a_day=1), SUCCESS) == {429}
    await api.app.state.intake.refused.store()
    async with api.context.database.write() as tx:
        await tx.connection.execute(update(agents).values(silent_at=now(), silent_after_s=60))
    later = replace(api.context, clock=lambda: now() + timedelta(minutes=2))
    await missed.write_due_events(later)
    while await decide.tick(later):
        pass
    [alert] = [one for one in await api.items("/v1/alerts") if one["kind"] == "agent_silent"]
    assert "; 1 report of this agent was refused since " in alert["message"]


@pytest.mark.slow
async def test_many_refusals_cost_one_row_and_no_write_each(api: Api) -> None:
    written: list[str] = []
    counts: RefusedCounts = api.app.state.intake.refused
    await enrolment(api, names=["sql*"])
    await send(api, ENROL_KEY, [SUCCESS | {"agent": f"stranger-{n}"} for n in range(1_000)], 3)
    [customer] = await api.items("/v1/customers")
    for number in range(MOST + 100):
        counts.note(customer["id"], f"other-{number}", "bad_value", "x" * 10_000)
    assert len(counts._refused) == MOST
    key = await own_key(api, bytes_a_day=1)
    engine = api.context.database.engines.writer.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *call: written.append(call[2]))
    await counts.store()
    assert await send(api, key, SUCCESS, 50) == {429}
    assert not [one for one in written if "refused_reports" in one]
    await counts.store()
    assert len([one for one in written if "refused_reports" in one]) == 1
    async with api.context.database.read() as tx:
        assert await tx.connection.scalar(select(func.count()).select_from(refused_reports)) == 1


async def test_a_count_begins_again_after_a_day_and_is_deleted_after_a_week(api: Api) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)

    async def add(hours: int) -> RefusedReports:
        moment = at + timedelta(hours=hours)
        async with api.context.database.write() as tx:
            await add_refused(tx, [RefusedReports("agt_1", "cus_1", moment, moment, 2, f"after {hours} h")])
        async with api.context.database.read() as tx:
            return (await refused_of_agents(tx, ["agt_1"]))["agt_1"]

    assert (await add(0)).count == 2
    assert await add(20) == RefusedReports("agt_1", "cus_1", at, at + timedelta(hours=20), 4, "after 20 h")
    again = at + timedelta(hours=50)
    assert await add(50) == RefusedReports("agt_1", "cus_1", again, again, 2, "after 50 h")
    await purge.tick(api.context)
    async with api.context.database.read() as tx:
        assert await refused_of_agents(tx, ["agt_1"]) == {}
