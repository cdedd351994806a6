"""Learned expectations are confirmed by one call, for one job or for all, or dismissed. Each change has its audit entry."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.decide import learn, missed
from app.decide import tick as decide
from app.store.tables import jobs
from tests.support.api import Api, serving


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def think(api: Api) -> None:
    """Decide on the received events, and learn from them."""
    while await decide.tick(api.context):
        pass
    await learn.tick(api.context)


async def come_daily(api: Api, *names: str, days: int = 9) -> list[dict[str, Any]]:
    """Report runs of the last days, the newest an hour ago, and return the jobs."""
    last = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    for name in names:
        at = [(last - timedelta(days=day)).isoformat() for day in range(days)]
        await api.report(*({"agent": "sql01", "job": name, "outcome": "success", "occurred_at": one} for one in at))
    await think(api)
    return await api.items("/v1/jobs", proposed=True)


async def test_one_call_makes_a_proposal_the_expectation(api: Api) -> None:
    [job] = await come_daily(api, "db")
    assert job["expectation"] is None
    assert job["next_due_at"] is not None, "it is watched already"
    confirmed = await api.tell("POST", f"/v1/jobs/{job['id']}:confirm-expectation")
    assert (confirmed["expectation"], confirmed["proposed_expectation"]) == (job["proposed_expectation"], None)
    assert confirmed["next_due_at"] is not None
    assert confirmed["version"] == job["version"] + 1
    [entry, *_] = await api.items("/v1/audit", noun="job")
    assert (entry["action"], entry["thing_id"]) == ("confirm", job["id"])
    again = await api.ask("POST", f"/v1/jobs/{job['id']}:confirm-expectation")
    assert (again.status_code, again.json()["code"]) == (409, "nothing_proposed")


async def test_all_selected_proposals_are_confirmed_in_one_call(api: Api) -> None:
    await come_daily(api, "a", "b", "c")
    one = await api.tell("POST", "/v1/jobs:confirm-expectations", json={"name": "b"})
    assert one == {"confirmed": 1, "more": False}
    assert await api.tell("POST", "/v1/jobs:confirm-expectations") == {"confirmed": 2, "more": False}
    assert await api.items("/v1/jobs", proposed=True) == []
    assert len(await api.items("/v1/jobs", expected=True)) == 3


async def test_a_dismissed_proposal_is_neither_missed_nor_learned_again(api: Api) -> None:
    [job] = await come_daily(api, "db")
    dismissed = await api.tell("POST", f"/v1/jobs/{job['id']}:dismiss-expectation")
    assert dismissed["dismissed_at"] is not None
    assert (dismissed["proposed_expectation"], dismissed["next_due_at"], dismissed["overdue_at"]) == (None, None, None)
    await api.report({"agent": "sql01", "job": "db", "outcome": "success"})
    await think(api)
    async with api.context.database.read() as tx:
        [row] = await tx.connection.execute(select(jobs))
    assert (row.proposed_expectation, row.learn_at) == (None, None)
    edited = await api.tell("PATCH", f"/v1/jobs/{job['id']}", json={"expectation": {"period_s": 86_400}})
    assert edited["dismissed_at"] is None, "who sets one wants it watched"
    refused = await api.ask("POST", f"/v1/jobs/{job['id']}:dismiss-expectation")
    assert (refused.status_code, refused.json()["code"]) == (409, "has_expectation")


async def test_a_removed_expectation_is_not_learned_again(api: Api) -> None:
    [job] = await come_daily(api, "db")
    await api.tell("POST", f"/v1/jobs/{job['id']}:confirm-expectation")
    taken = await api.tell("PATCH", f"/v1/jobs/{job['id']}", json={"expectation": None})
    assert (taken["expectation"], taken["next_due_at"]) == (None, None)
    await api.report({"agent": "sql01", "job": "db", "outcome": "success"})
    await think(api)
    await missed.write_due_events(api.context)
    assert await api.items("/v1/jobs", proposed=True) == []


async def test_a_confirmation_does_not_overwrite_a_newer_edit(api: Api) -> None:
    [job] = await come_daily(api, "db")
    stale = await api.ask("POST", f"/v1/jobs/{job['id']}:confirm-expectation", headers={"If-Match": '"7"'})
    assert stale.status_code == 412
