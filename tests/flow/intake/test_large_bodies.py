"""A large body is stored in parts: its answer is that of one request, and no part of it holds up the others."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.core.errors import Unavailable
from app.intake import accept, reading_process
from app.intake.commit import GroupCommit
from app.intake.validated_body import EVENTS_AT_ONCE
from app.store.tables import events, refused_reports
from tests.support.api import ENROL_KEY, Api, serving

COUNT = 2 * EVENTS_AT_ONCE + 500
EVENT = {"agent": "sql01", "outcome": "failure", "occurred_at": "2026-11-23T02:10:00Z"}
MANY = [EVENT | {"job": f"job{n}", "key": str(n)} for n in range(COUNT)]


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, key_new_jobs_an_hour=100_000, key_new_agents_an_hour=100_000) as api:
        yield api


@pytest.fixture
def in_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process can be started, so that the service parses large bodies itself; it does so at once."""
    monkeypatch.setattr(reading_process, "_PROGRAM", "import sys; sys.exit(1)")


async def post(api: Api, body: list[dict[str, Any]], key: str = ENROL_KEY) -> httpx.Response:
    return await api.ask("POST", "/v1/events", key=key, json=body, timeout=120)


async def stored(api: Api) -> int:
    async with api.context.database.read() as tx:
        return int(await tx.connection.scalar(select(func.count()).select_from(events)) or 0)


async def metric(api: Api, name: str) -> float:
    lines = (await api.ask("GET", "/metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@pytest.mark.usefixtures("in_the_service")
async def test_the_answer_counts_all_parts_and_names_the_place_of_each_refused_event(api: Api):
    body = [dict(event) for event in MANY]
    refused = [3, EVENTS_AT_ONCE, EVENTS_AT_ONCE + 1, COUNT - 1]
    for index in refused:
        del body[index]["agent"]
    body[7]["key"] = body[COUNT - 2]["key"] = "the same"  # in different parts
    answer = (await post(api, body)).json()
    assert (answer["accepted"], answer["duplicates"]) == (COUNT - 5, 1)
    assert [one["index"] for one in answer["rejected"]] == refused
    assert await stored(api) == COUNT - 5
    again = (await post(api, body)).json()
    assert (again["accepted"], again["duplicates"]) == (0, COUNT - 4)


@pytest.mark.usefixtures("in_the_service")
async def test_a_body_of_which_a_part_was_stored_counts_once_when_it_is_sent_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    body = [{"agent": "sql01", "outcome": "failure", "job": f"job{n}"} for n in range(COUNT)]  # no key and no time
    original = GroupCommit.store
    calls = 0

    async def fail_later(self: GroupCommit, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Unavailable("the database is too slow; try again")
        return await original(self, *args, **kwargs)

    monkeypatch.setattr(GroupCommit, "store", fail_later)
    assert (await post(api, body)).status_code == 503
    assert await stored(api) == EVENTS_AT_ONCE
    again = (await post(api, body)).json()
    assert (again["accepted"], again["duplicates"]) == (COUNT - EVENTS_AT_ONCE, EVENTS_AT_ONCE)
    assert await stored(api) == COUNT
    another_night = (await post(api, body)).json()  # the first answer was a success: these are new events
    assert (another_night["accepted"], another_night["duplicates"]) == (COUNT, 0)


@pytest.mark.usefixtures("in_the_service")
async def test_others_are_served_between_the_parts(api: Api):
    many = [EVENT | {"job": f"job{n}", "key": str(n)} for n in range(3 * COUNT)]
    large = asyncio.create_task(post(api, many))
    while not await stored(api):
        pass
    small = await post(api, [EVENT | {"job": "other"}])
    assert small.status_code == 202
    async with api.context.database.read() as tx:
        jobs = list(await tx.connection.scalars(select(events.c.job).order_by(events.c.id)))
    assert "other" in jobs
    assert len(jobs) <= len(many), "the large one was not finished yet"
    assert (await large).json()["accepted"] == len(many)


@pytest.mark.usefixtures("in_the_service")
async def test_the_wait_beyond_a_budget_is_long_enough_for_all_that_was_refused(api: Api):
    [key] = await api.items("/v1/keys", kind="enrol")
    await api.tell("PATCH", f"/v1/keys/{key['id']}", json={"events_a_minute": 1000})
    routine = [event | {"outcome": "success"} for event in MANY]
    answer = await post(api, routine)
    assert answer.status_code == 429
    body = answer.json()
    assert body["accepted"] == await stored(api) == 1000
    assert body["rejected_count"] == COUNT - 1000
    assert 50 <= int(answer.headers["retry-after"]) <= 60


@pytest.mark.usefixtures("in_the_service")
async def test_while_room_is_saved_for_failures_one_behind_much_routine_is_stored(api: Api):
    api.context.database.writing.is_saving_room = True
    routine = [event | {"outcome": "success"} for event in MANY]
    answer = await post(api, routine)
    assert (answer.status_code, answer.json()["code"]) == (503, "disk_full")
    assert await stored(api) == 0
    answer = await post(api, [*routine, EVENT | {"job": "failed"}])
    assert (answer.status_code, answer.json()["accepted"]) == (202, COUNT + 1)


@pytest.mark.slow
async def test_a_body_that_this_machine_reads_too_slowly_may_be_sent_again_and_is_counted(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(accept, "BODY_PATIENCE", 0.001)  # as a machine of a thousandth of the speed
    monkeypatch.setattr(reading_process, "ANSWER_S", 100_000.0)  # of the clock it has time enough
    await api.report(EVENT)
    [agent] = await api.items("/v1/agents")
    key = await api.tell("POST", "/v1/keys", json={"kind": "agent", "name": "sql01", "agent_id": agent["id"]})
    answer = await post(api, MANY, key["key"])
    while answer.status_code == 202:  # read in the service itself, because no process has started yet
        answer = await post(api, MANY, key["key"])
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert int(answer.headers["retry-after"]) >= 60
    assert await metric(api, 'tocsin_requests_refused_total{code="overloaded"}') >= 1
    await api.app.state.intake.refused.store()
    async with api.context.database.read() as tx:
        assert "could not be parsed in time" in str(await tx.connection.scalar(select(refused_reports.c.why)))


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"[" * 10, "malformed_body"), (json.dumps(EVENT | {"log": "x" * 9_000_000}).encode(), "too_large")],
)
async def test_a_request_that_is_refused_as_a_whole_is_counted(api: Api, body: bytes, code: str):
    name = f'tocsin_requests_refused_total{{code="{code}"}}'
    before = await metric(api, name)
    headers = {"Content-Type": "application/json"}
    answer = await api.ask("POST", "/v1/events", key=ENROL_KEY, content=body, headers=headers)
    assert answer.json()["code"] == code
    assert await metric(api, name) == before + 1
