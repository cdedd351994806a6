"""A fault of the database is not attributed to an event: the answer is 503, and the event is accepted once the database works."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text

from app.intake import commit
from app.intake.commit import GroupCommit
from app.store.tables import events
from tests.support.api import ENROL_KEY, Api, serving
from tests.support.postgres import Cluster

BATCH = [{"agent": "sql01", "job": "nightly", "outcome": "failure", "key": f"{n}"} for n in range(50)]


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path) as api:
        yield api


async def post(api: Api, body: Any = BATCH) -> httpx.Response:
    return await api.ask("POST", "/v1/events", key=ENROL_KEY, json=body)


async def count(api: Api) -> int:
    async with api.context.database.read() as tx:
        return int(await tx.connection.scalar(select(func.count()).select_from(events)) or 0)


async def run(api: Api, *statements: str) -> None:
    async with api.context.database.engines.writer.connect() as connection:
        for statement in statements:
            await connection.execute(text(statement))
        await connection.commit()


async def assert_unavailable(api: Api, transactions: list[None], code: str = "unavailable") -> None:
    transactions.clear()
    answer = await post(api)
    assert (answer.status_code, answer.json()["code"]) == (503, code)
    assert int(answer.headers["retry-after"]) >= 1
    assert len(transactions) == 1, "one transaction, not one for each event"


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry for each transaction of intake."""
    entries: list[None] = []
    transact = GroupCommit._commit_once

    async def counted(self: GroupCommit, parts: list[Any]) -> None:
        entries.append(None)
        await transact(self, parts)

    monkeypatch.setattr(GroupCommit, "_commit_once", counted)
    return entries


async def test_a_table_that_is_missing_for_a_while(api: Api, transactions: list[None]):
    await run(api, "ALTER TABLE events RENAME TO events_away")
    await assert_unavailable(api, transactions)
    await run(api, "ALTER TABLE events_away RENAME TO events")
    assert (await post(api)).json()["accepted"] == len(BATCH) == await count(api)


async def test_a_column_that_is_missing_for_a_while(api: Api, transactions: list[None]):
    await run(api, "ALTER TABLE events RENAME COLUMN log TO log_away")
    await assert_unavailable(api, transactions)
    await run(api, "ALTER TABLE events RENAME COLUMN log_away TO log")
    assert (await post(api)).json()["accepted"] == len(BATCH)


@pytest.mark.postgres
async def test_a_read_only_database(
    postgres_cluster: Cluster, postgres_database_url: str, tmp_path: Path, transactions: list[None]
):
    name = postgres_database_url.rpartition("/")[2]
    async with serving(postgres_database_url, tmp_path) as api:
        postgres_cluster.sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        await api.context.database.engines.writer.dispose()
        await assert_unavailable(api, transactions, "database_read_only")
        postgres_cluster.sql(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        await api.context.database.engines.writer.dispose()
        assert (await post(api)).json()["accepted"] == len(BATCH) == await count(api)


async def test_a_read_only_file(sqlite_database_url: str, tmp_path: Path, transactions: list[None]):
    async def only_reads(is_so: str) -> None:
        async with api.context.database.engines.writer.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            await driver.execute(f"PRAGMA query_only={is_so}")

    async with serving(sqlite_database_url, tmp_path) as api:
        await only_reads("ON")
        await assert_unavailable(api, transactions, "database_read_only")
        await only_reads("OFF")
        assert (await post(api)).json()["accepted"] == len(BATCH)


async def test_a_bug_in_our_code_fails_only_its_own_request_with_503(api: Api, monkeypatch: pytest.MonkeyPatch):
    add = commit.add_events

    async def broken(store: Any, rows: Any) -> set[str]:
        if any(row.key == "7" for row in rows):
            raise KeyError("a bug")
        return await add(store, rows)

    monkeypatch.setattr(commit, "add_events", broken)
    assert (await post(api)).status_code == 503
    assert await count(api) == len(BATCH) - 1
    monkeypatch.setattr(commit, "add_events", add)
    answer = (await post(api)).json()
    assert (answer["accepted"], answer["duplicates"]) == (1, len(BATCH) - 1)


@pytest.mark.parametrize("key", ["tocsin:silent:agt_1:x", "  tocsin:", "\ntocsin:x"])
async def test_agents_cannot_use_the_services_own_keys(api: Api, key: str):
    assert (await post(api, {"agent": "sql01", "outcome": "failure", "key": key})).status_code == 202
    (event,) = await api.items("/v1/events")
    assert (event["key"].startswith("sha256:"), event["flags"]) == (True, ["key_reserved"])
    assert (await post(api, {"agent": "sql01", "key": "tocsin"})).status_code == 202
