"""Pages of a history: each item once, the newest first, and no page with `next` that is not full."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from app.decide import tick as decide
from tests.support.api import Api, serving


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        await api.report(
            *(
                {
                    "agent": f"host{number % 3}",
                    "job": f"job{number:02}",
                    "outcome": "failure" if number % 10 == 0 else "success",
                }
                for number in range(30)
            )
        )
        yield api


@pytest.mark.parametrize("limit", [1, 2, 3, 29, 30, 31, 200])
async def test_each_event_is_listed_once_whatever_the_limit(api: Api, limit: int) -> None:
    rare = await api.items("/v1/events", outcome="failure", limit=limit)
    assert sorted(one["job"] for one in rare) == ["job00", "job10", "job20"]
    assert [one["id"] for one in rare] == sorted((one["id"] for one in rare), reverse=True), "the newest first"
    all_of_them = await api.items("/v1/events", limit=limit)
    assert len({one["id"] for one in all_of_them}) == len(all_of_them) == 30
    agent = (await api.items("/v1/agents", name="host1"))[0]["id"]
    for named in ({"agent_id": agent}, {"agent": "host1"}):
        both = await api.items("/v1/events", outcome="failure", limit=limit, **named)
        assert [one["job"] for one in both] == ["job10"]
        assert len(await api.items("/v1/events", limit=limit, **named)) == 10


@pytest.mark.parametrize("limit", [1, 4, 5, 6, 15])
async def test_a_page_with_next_is_full(api: Api, limit: int) -> None:
    params: dict[str, Any] = {"agent": "host1", "outcome": "success", "limit": limit}
    sizes = []
    while True:
        page = await api.tell("GET", "/v1/events", params=params)
        sizes.append(len(page["items"]))
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
    assert sum(sizes) == 9
    assert sizes[:-1] == [limit] * (len(sizes) - 1)
    assert sizes[-1] > 0


@pytest.mark.parametrize("path", ["/v1/events", "/v1/runs", "/v1/alerts", "/v1/notices", "/v1/messages"])
async def test_an_id_and_a_name_that_do_not_belong_together_match_nothing(api: Api, path: str) -> None:
    await decide.tick(api.context)
    [job] = await api.items("/v1/jobs", name="job10")
    for params in (
        {"job_id": job["id"], "job": "job11"},
        {"job_id": job["id"], "agent": "host2"},
        {"job_id": f"job_{'0' * 28}"},
        {"job": "no such job"},
        {"agent": "no such agent"},
        {"agent_id": f"agt_{'0' * 28}"},
        {"customer_id": f"cus_{'0' * 28}"},
    ):
        assert await api.items(path, **params) == []
    # The same job by its id, by its name, and by both with its agent and customer.
    by_id = await api.items(path, job_id=job["id"])
    assert by_id == await api.items(path, job="job10")
    everything = {"job": "job10", "agent": "host1", "agent_id": job["agent_id"], "customer_id": job["customer_id"]}
    assert by_id == await api.items(path, job_id=job["id"], **everything)
    assert len(by_id) == (0 if path == "/v1/messages" else 1)


async def test_events_that_name_no_job_are_listed_with_the_job_of_their_activity(api: Api) -> None:
    await api.report(
        {"agent": "nas", "activity": "prune", "outcome": "success", "key": "ended"},
        {"agent": "nas", "activity": "prune", "message": "about to prune", "key": "only a message"},
        {"agent": "nas", "activity": "heartbeat", "key": "alive"},
    )
    await decide.tick(api.context)
    [job] = await api.items("/v1/jobs", name="prune")
    for params in ({"job_id": job["id"]}, {"job": "prune"}, {"job": "prune", "agent": "nas"}):
        assert [one["key"] for one in await api.items("/v1/events", **params)] == ["ended"]


async def test_events_of_a_deleted_job_are_still_found_by_its_name(api: Api) -> None:
    await decide.tick(api.context)
    [job] = await api.items("/v1/jobs", name="job10")
    await api.tell("DELETE", f"/v1/jobs/{job['id']}")
    assert [one["job"] for one in await api.items("/v1/events", job="job10")] == ["job10"]
    assert [one["job_id"] for one in await api.items("/v1/alerts", job_id=job["id"])] == [job["id"]]
    assert len(await api.items("/v1/notices", job_id=job["id"])) == 1


async def test_long_texts_are_not_read_for_a_list(api: Api) -> None:
    statements: list[str] = []
    engine = api.context.database.engines.reader.sync_engine

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    await api.tell("GET", "/v1/events", params={"outcome": "failure"})
    await api.tell("GET", "/v1/messages")
    event.remove(engine, "before_cursor_execute", note)
    lists = [statement for statement in statements if "FROM events" in statement or "FROM messages" in statement]
    assert len(lists) >= 2
    assert not [statement for statement in lists if "events.log" in statement or "bodies" in statement]
