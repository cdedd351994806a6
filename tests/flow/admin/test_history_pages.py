"""Pages of a history: every item once, whatever the filters leave out, and no page looks at more than a bounded number of rows."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import event

from app.store import records
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


@pytest.mark.parametrize("window", [1, 3, 7, 29, 30, 31, 5000])
@pytest.mark.parametrize("limit", [1, 2, 200])
async def test_a_rare_thing_is_found_through_any_window(
    api: Api, monkeypatch: pytest.MonkeyPatch, window: int, limit: int
) -> None:
    monkeypatch.setattr(records, "WINDOW", window)
    rare = await api.items("/v1/events", outcome="failure", limit=limit)
    assert sorted(one["job"] for one in rare) == ["job00", "job10", "job20"]
    assert [one["id"] for one in rare] == sorted((one["id"] for one in rare), reverse=True), "the newest first"
    all_of_them = await api.items("/v1/events", limit=limit)
    assert len({one["id"] for one in all_of_them}) == len(all_of_them) == 30
    agent = (await api.items("/v1/agents", name="host1"))[0]["id"]
    both = await api.items("/v1/events", agent_id=agent, outcome="failure", limit=limit)
    assert [one["job"] for one in both] == ["job10"]


async def test_a_page_without_a_hit_leads_on(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    # By its id, for events of one request have no order among themselves.
    oldest = min(await api.items("/v1/events"), key=lambda one: one["id"])["job"]
    monkeypatch.setattr(records, "WINDOW", 5)
    page = await api.tell("GET", "/v1/events", params={"job": oldest})
    assert page["items"] == []
    assert page["next"] is not None
    assert [one["job"] for one in await api.items("/v1/events", job=oldest)] == [oldest]


async def test_long_texts_are_not_read_for_a_list(api: Api) -> None:
    said: list[str] = []
    engine = api.context.database.engines.reader.sync_engine

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        said.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    await api.tell("GET", "/v1/events", params={"outcome": "failure"})
    await api.tell("GET", "/v1/messages")
    event.remove(engine, "before_cursor_execute", note)
    lists = [statement for statement in said if "FROM events" in statement or "FROM messages" in statement]
    assert len(lists) >= 2
    assert not [statement for statement in lists if "events.log" in statement or "bodies" in statement]
