"""The group commit: many requests at once, a bad event, a full queue, a database or a caller that goes away."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.core.errors import Unavailable
from app.intake.commit import GroupCommit
from app.store.tables import agents, events
from tests.support.api import ENROL_KEY, Api, serving
from tests.support.listening import listening
from tests.support.migrated import migrate
from tests.support.postgres import Cluster

EVENT = {"agent": "sql01", "job": "nightly", "outcome": "success"}
HEADERS = {"Authorization": f"Bearer {ENROL_KEY}"}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, intake_queue=1000) as api:
        yield api


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the transactions from now on."""
    sizes: list[int] = []
    transact = GroupCommit._commit_once

    async def counted(self: GroupCommit, parts: list[Any]) -> None:
        sizes.append(len(parts))
        await transact(self, parts)

    monkeypatch.setattr(GroupCommit, "_commit_once", counted)
    return sizes


async def post(api: Api, *batch: dict[str, Any]) -> httpx.Response:
    return await api.ask("POST", "/v1/events", key=ENROL_KEY, json=batch)


async def count(api: Api, table: Any = events) -> int:
    async with api.context.database.read() as tx:
        return int(await tx.connection.scalar(select(func.count()).select_from(table)) or 0)


async def keys_of(api: Api) -> set[str]:
    async with api.context.database.read() as tx:
        return set((await tx.connection.execute(select(events.c.key))).scalars())


@pytest.fixture
def slow_first_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first commit last until 200 requests have arrived, as a commit on a slow disk would."""
    arrived = 0
    all_arrived = asyncio.Event()
    store, transact = GroupCommit.store, GroupCommit._commit_once

    async def count_requests(self: GroupCommit, *arguments: Any, **options: Any) -> Any:
        nonlocal arrived
        arrived += 1
        if arrived == 200:
            all_arrived.set()
        return await store(self, *arguments, **options)

    async def wait_for_requests(self: GroupCommit, parts: list[Any]) -> None:
        await all_arrived.wait()
        await transact(self, parts)

    monkeypatch.setattr(GroupCommit, "store", count_requests)
    monkeypatch.setattr(GroupCommit, "_commit_once", wait_for_requests)


async def test_200_concurrent_requests_share_few_transactions_and_each_gets_its_own_counts(
    api: Api, slow_first_commit: None, commits: list[int]
):
    # Request n brings keys n and n+1: every key but the first and last is sent twice, in any order.
    answers = await asyncio.gather(
        *(post(api, EVENT | {"key": f"{n}"}, EVENT | {"key": f"{n + 1}"}) for n in range(200))
    )
    assert {answer.status_code for answer in answers} == {202}
    bodies = [answer.json() for answer in answers]
    assert all(body["accepted"] + body["duplicates"] == 2 for body in bodies)
    assert sum(body["accepted"] for body in bodies) == await count(api) == 201
    assert len(commits) < 5


async def test_unknown_agents_are_created_once(api: Api):
    await asyncio.gather(*(post(api, {"agent": f"host{n % 5}", "key": f"{n}"}) for n in range(100)))
    assert (await count(api, agents), await count(api)) == (5, 100)


async def test_two_processes_create_an_agent_once(api: Api, database_url: str, tmp_path: Path):
    if database_url.startswith("sqlite"):
        return  # one process serves it, by its lock
    async with serving(database_url, tmp_path) as other:
        both = [
            post(api if n % 2 else other, *({"agent": f"host{m}", "key": f"{n}-{m}"} for m in range(20)))
            for n in range(20)
        ]
        answers = await asyncio.gather(*both)
    assert {answer.status_code for answer in answers} == {202}
    assert (await count(api, agents), await count(api)) == (20, 400)


async def test_only_the_row_that_the_database_refuses_is_rejected(api: Api, monkeypatch: pytest.MonkeyPatch):
    """No row is known that the database refuses, so the test makes one, to show that the rows next to it are stored."""
    monkeypatch.setattr(
        "app.intake.fields.limit_message", lambda value, _flags: {"poison": 1} if value == "poison" else value
    )
    batches = [
        [EVENT | {"key": f"{n}-{m}", "message": "poison" if (n, m) in ((3, 1), (7, 0)) else "x"} for m in range(3)]
        for n in range(10)
    ]
    batches.append([EVENT | {"key": "alone", "message": "poison"}])
    answers = await asyncio.gather(*(post(api, *batch) for batch in batches))
    assert [answer.status_code for answer in answers] == [202] * 10 + [422]
    assert [answer.json()["accepted"] for answer in answers] == [3, 3, 3, 2, 3, 3, 3, 2, 3, 3, 0]
    assert [(one["index"], one["code"]) for one in answers[3].json()["rejected"]] == [(1, "not_storable")]
    assert len(await keys_of(api)) == 28


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  (what is waited for is the app's own, and has no event)
            await asyncio.sleep(0.01)


def waiting_in(api: Api) -> int:
    return int(api.app.state.intake.commits._queued_events)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Commits wait until this is set."""
    let_go = asyncio.Event()
    transact = GroupCommit._commit_once

    async def waiting(self: GroupCommit, parts: list[Any]) -> None:
        await let_go.wait()
        await transact(self, parts)

    monkeypatch.setattr(GroupCommit, "_commit_once", waiting)
    return let_go


async def test_a_full_queue_is_answered_as_overload_and_empties_again(api: Api, held: asyncio.Event):
    waiting = [asyncio.create_task(post(api, *(EVENT | {"key": f"{n}-{m}"} for m in range(100)))) for n in range(10)]
    await until(lambda: waiting_in(api) == 1000)
    refused = await post(api, EVENT)
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    held.set()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {202}
    assert (await post(api, EVENT)).status_code == 202
    assert await count(api) == 1001


async def test_a_caller_that_disconnects_does_not_affect_others(api: Api, held: asyncio.Event):
    async with listening(api.app) as port:
        body = json.dumps(EVENT | {"key": "gone"}).encode()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ENROL_KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await until(lambda: bool(api.app.state.intake.commits._in_progress))
        writer.transport.abort()
        staying = asyncio.create_task(post(api, EVENT | {"key": "stays"}))
        await asyncio.sleep(0.05)
        held.set()
        assert (await staying).json()["accepted"] == 1
        assert await keys_of(api) == {"gone", "stays"}


async def test_a_request_that_is_cancelled_stops_waiting_and_its_event_is_kept(api: Api, held: asyncio.Event):
    leaving = asyncio.create_task(post(api, EVENT | {"key": "left"}))
    await until(lambda: bool(api.app.state.intake.commits._in_progress))
    leaving.cancel()
    held.set()
    assert (await post(api, EVENT | {"key": "stays"})).status_code == 202
    assert await keys_of(api) == {"left", "stays"}


async def test_a_clean_stop_stores_the_waiting_events(database_url: str, tmp_path: Path, held: asyncio.Event):
    async with serving(database_url, tmp_path) as api:
        waiting = [asyncio.create_task(post(api, EVENT | {"key": f"{n}"})) for n in range(20)]
        await until(lambda: waiting_in(api) == 20)
        asyncio.get_running_loop().call_later(0.2, held.set)
        commits = api.app.state.intake.commits
    assert {(await one).json()["accepted"] for one in waiting} == {1}
    with pytest.raises(Unavailable):
        await commits.store([], {}, 0)


async def test_a_body_cut_short_stores_nothing(api: Api):
    async with listening(api.app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ENROL_KEY}\r\nContent-Length: 500\r\n\r\n"
        )
        writer.write(head.encode() + json.dumps(EVENT).encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.1)
        assert await count(api) == 0


async def test_a_body_that_is_far_too_large_gets_an_answer(api: Api):
    async with (
        listening(api.app) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=HEADERS) as client,
    ):
        answer = await client.post(
            "/v1/events", content=b" " * 40_000_000, headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_a_full_disk_is_reported_and_intake_recovers_once_there_is_room(sqlite_database_url: str, tmp_path: Path):
    async with serving(sqlite_database_url, tmp_path) as api:

        async def pages(most: int) -> None:
            async with api.context.database.engines.writer.connect() as connection:
                await connection.exec_driver_sql(f"PRAGMA max_page_count={most}")

        await pages(1)  # SQLite takes the present size where that is more
        batch = [EVENT | {"key": f"{n}", "log": "x" * 1000} for n in range(500)]
        full = await post(api, *batch)
        assert (full.status_code, full.json()["code"]) == (503, "disk_full")
        await pages(1_000_000)
        assert (await post(api, *batch)).json()["accepted"] == 500


@pytest.mark.postgres
async def test_a_database_that_goes_away_and_comes_back(tmp_path: Path):
    with Cluster() as cluster:
        url = cluster.create_database("tocsin")
        await asyncio.to_thread(migrate, url)
        async with serving(url, tmp_path) as api:
            assert (await post(api, EVENT | {"key": "before"})).status_code == 202
            cluster.kill()
            for key in ("during-1", "during-2"):
                away = await post(api, EVENT | {"key": key})
                assert (away.status_code, away.json()["code"]) == (503, "unavailable")
                assert int(away.headers["retry-after"]) >= 1
            await asyncio.to_thread(cluster.start)
            end = time.monotonic() + 20
            while (answer := await post(api, EVENT | {"key": "after"})).status_code == 503:
                assert time.monotonic() < end
                await asyncio.sleep(0.1)
            assert answer.json()["accepted"] == 1
            assert {"before", "after"} <= await keys_of(api)


@pytest.mark.slow
@pytest.mark.postgres
async def test_nothing_answered_202_is_lost_when_the_database_is_killed_under_load(tmp_path: Path):
    with Cluster() as cluster:
        url = cluster.create_database("tocsin")
        await asyncio.to_thread(migrate, url)
        async with serving(url, tmp_path) as api:
            promised: set[str] = set()
            stop = asyncio.Event()

            async def send(sender: int) -> None:
                for n in range(100_000):
                    if stop.is_set():
                        return
                    answer = await post(api, EVENT | {"key": f"{sender}-{n}"})
                    assert answer.status_code in (202, 503), answer.text
                    if answer.status_code == 202:
                        promised.add(f"{sender}-{n}")
                    await asyncio.sleep(0)

            senders = [asyncio.create_task(send(sender)) for sender in range(8)]
            for _ in range(2):
                await asyncio.sleep(0.5)
                await asyncio.to_thread(cluster.kill)
                await asyncio.to_thread(cluster.start)
            await asyncio.sleep(1)
            stop.set()
            await asyncio.gather(*senders)
            assert promised
            assert promised <= await keys_of(api)
