"""POST /v1/events as an agent sees it, on both databases: what is stored, once, and what is reported about the rest."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import zstandard
from sqlalchemy import func, select

from app.core.ids import new_id
from app.core.secret import hint_of, new_key
from app.domain.key import Key, KeyKind
from app.intake import reading_process
from app.store.keys import insert_key
from app.store.tables import agents, events
from tests.support.api import ENROL_KEY, Api, serving

EVENT = {"agent": "sql01", "job": "nightly", "outcome": "failure", "occurred_at": "2026-11-23T02:10:00+01:00"}
LIMIT = 64 * 1024


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, event_limit=LIMIT, batch_limit=4 * LIMIT, batch_events=500) as api:
        yield api


async def post(
    api: Api, body: Any, *, key: str = ENROL_KEY, kind: str = "application/json", packed: str = ""
) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": kind} | ({"Content-Encoding": packed} if packed else {})
    return await api.ask("POST", "/v1/events", key=key, content=content, headers=headers)


async def stored(api: Api) -> list[Any]:
    async with api.context.database.read() as tx:
        return list((await tx.connection.execute(select(events).order_by(events.c.id))).all())


def counts(answer: httpx.Response) -> tuple[int, int, int]:
    body = answer.json()
    return body["accepted"], body["duplicates"], len(body["rejected"])


async def test_every_field_of_an_event_is_stored(api: Api):
    event = {
        **EVENT,
        "key": "k1",
        "run": "r1",
        "activity": "verify",
        "phase": "finished",
        "message": "repository is locked",
        "log": "line 1\nline 2 😀",
        "metrics": {"bytes_processed": 12_000_000_000_000, "duration_s": 1.5},
        "labels": {"site": "hq"},
        "repository": "b2:x",
        "extra": {"snapshot": "abc"},
    }
    answer = await post(api, event)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "duplicates": 0, "rejected": []})
    [row] = await stored(api)
    for field in ("key", "job", "run", "activity", "phase", "outcome", "message", "log", "metrics", "labels"):
        assert getattr(row, field) == event[field]
    assert (row.severity, row.state, row.kind, row.flags) == ("error", "new", "report", None)
    assert row.extra == {"repository": "b2:x", "snapshot": "abc"}
    assert row.occurred_at.isoformat() == "2026-11-23T01:10:00+00:00"
    async with api.context.database.read() as tx:
        [agent] = (await tx.connection.execute(select(agents))).all()
    assert (agent.id, agent.name, agent.customer_id) == (row.agent_id, "sql01", row.customer_id)


async def test_the_same_key_counts_once(api: Api):
    first, again = (
        await post(api, EVENT | {"key": "k1"}),
        await post(api, EVENT | {"key": "k1", "message": "other words"}),
    )
    assert (counts(first), counts(again), again.status_code) == ((1, 0, 0), (0, 1, 0), 202)
    assert counts(await post(api, [EVENT | {"key": "k2"}, EVENT | {"key": "k1"}, EVENT | {"key": "k2"}])) == (1, 2, 0)
    assert counts(await post(api, EVENT | {"key": "k1", "agent": "ex02"})) == (1, 0, 0), "a key is the agent's own"
    assert len(await stored(api)) == 3


async def test_without_a_key_the_content_counts_once(api: Api):
    assert counts(await post(api, [EVENT, EVENT | {"message": "x"}, EVENT])) == (2, 1, 0)
    assert counts(await post(api, EVENT)) == (0, 1, 0)
    timeless = {"agent": "sql01", "job": "nightly"}
    assert counts(await post(api, timeless)) == counts(await post(api, timeless)) == (1, 0, 0), (
        "two moments, two events"
    )


@pytest.mark.parametrize("packed", ["", "gzip", "zstd"])
@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/x-ndjson"])
async def test_bad_events_of_a_batch_do_not_cost_the_good_ones(api: Api, kind: str, packed: str):
    batch: list[Any] = [EVENT | {"key": str(n)} for n in range(6)]
    batch[1], batch[3], batch[4] = {"job": "nobody's"}, "nonsense", 7
    body = (
        json.dumps(batch).encode() if "x-ndjson" not in kind else b"\n".join(json.dumps(one).encode() for one in batch)
    )
    body = {"": bytes, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}[packed](body)
    answer = await post(api, body, kind=kind, packed=packed)
    assert answer.status_code == 202, answer.text
    assert counts(answer) == (3, 0, 3)
    rejections = [(one["index"], one["code"]) for one in answer.json()["rejected"]]
    assert rejections == [(1, "agent_missing"), (3, "not_an_object"), (4, "not_an_object")]
    assert {row.key for row in await stored(api)} == {"0", "2", "5"}


@pytest.mark.parametrize(
    ("field", "flag"),
    [
        ({"metrics": {"bytes_stored": None, "duration_s": 3}}, "metrics_ignored"),
        ({"labels": {"site": None}}, "labels_ignored"),
        ({"metrics": {"bytes_stored": 1e400}}, "metrics_ignored"),
        ({"metrics": {"bytes_stored": 10**400}}, "metrics_ignored"),
        ({"occurred_at": 1795399860}, "unix_time"),
        ({"occurred_at": "1795399860"}, "unix_time"),
        ({"occurred_at": "23.11.2026 02:10"}, "bad_time"),
        ({"occurred_at": {"date": "today"}}, "occurred_at_ignored"),
        ({"job": "x" * 300}, "name_cut"),
        ({"activity": "cloning"}, "unknown_activity"),
        ({"message": ["a", "list"]}, "message_ignored"),
    ],
)
async def test_a_failure_is_never_refused_for_another_field(api: Api, field: dict[str, Any], flag: str):
    body = json.dumps(EVENT | {"outcome": "failure"} | field).replace("Infinity", "1e400")
    assert (await post(api, body.encode())).status_code == 202
    (row,) = await stored(api)
    assert (row.outcome, row.flags) == ("failure", [flag])


async def test_a_batch_of_only_bad_events_is_a_problem(api: Api):
    one = await post(api, {"outcome": "failure"})
    assert (one.status_code, one.json()["code"], one.json()["field"]) == (422, "agent_missing", "agent")
    assert one.headers["content-type"] == "application/problem+json"
    many = await post(api, [5] * 300)
    assert (many.status_code, many.json()["code"]) == (422, "all_rejected")
    assert (len(many.json()["rejected"]), many.json()["rejected_count"]) == (100, 300)
    assert await stored(api) == []


async def test_an_empty_batch_is_accepted(api: Api):
    assert counts(await post(api, [])) == (0, 0, 0)
    assert counts(await post(api, b"\n\n", kind="application/x-ndjson")) == (0, 0, 0)


@pytest.mark.parametrize(
    ("body", "kind", "packed", "status", "code"),
    [
        (b"", "application/json", "", 400, "malformed_body"),
        (b"{", "application/json", "", 400, "malformed_body"),
        (b"{}", "text/plain", "", 415, "wrong_type"),
        (b"{}", "application/json; charset=latin-1", "", 415, "wrong_type"),
        (b"{}", "application/json", "br", 415, "wrong_encoding"),
        (b"{}", "application/json", "gzip", 400, "malformed_packing"),
        (gzip.compress(b"{}", mtime=0)[:-4], "application/json", "gzip", 400, "malformed_packing"),
        (b'{"log":"' + b"x" * LIMIT + b'"}', "application/json", "", 413, "too_large"),
        (b'[{"log":"' + b"x" * 4 * LIMIT + b'"}]', "application/json", "", 413, "too_large"),
        (gzip.compress(b'{"log":"' + b"x" * LIMIT + b'"}', mtime=0), "application/json", "gzip", 413, "too_large"),
        (lambda: gzip.compress(b"\n" * 200_000_000, mtime=0), "application/x-ndjson", "gzip", 413, "too_large"),
        (lambda: zstandard.compress(b" " * 200_000_000), "application/json", "zstd", 413, "too_large"),
        (b"{}\n" * 501, "application/x-ndjson", "", 413, "too_many_events"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(
    api: Api, body: bytes | Callable[[], bytes], kind: str, packed: str, status: int, code: str
):
    """What takes a second to pack is packed here, since each process of a test run collects all tests."""
    answer = await post(api, body if isinstance(body, bytes) else body(), kind=kind, packed=packed)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await stored(api) == []


async def test_an_array_may_be_larger_than_one_event(api: Api):
    batch = [EVENT | {"key": str(n), "log": "x" * 1000} for n in range(200)]
    assert counts(await post(api, batch)) == (200, 0, 0)


async def test_nul_and_lone_surrogates_are_replaced_and_flagged(api: Api):
    body = rb'[{"agent":"a","key":"1","message":"x\u0000y","labels":{"l\ud800":"v"},"deep":{"a":["\udfff"]}},{"agent":"a","key":"2"}]'
    assert counts(await post(api, body)) == (2, 0, 0)
    bad, good = sorted(await stored(api), key=lambda row: row.key)
    assert (bad.message, bad.labels, bad.extra, bad.flags) == (
        "x�y",
        {"l�": "v"},
        {"deep": {"a": ["�"]}},
        ["text_replaced"],
    )
    assert good.flags is None


async def test_a_time_far_ahead_is_replaced_and_flagged(api: Api):
    await post(api, EVENT | {"occurred_at": "2126-01-01T00:00:00Z"})
    [row] = await stored(api)
    assert (row.occurred_at, row.flags) == (row.received_at, ["clock_ahead"])


async def test_an_agents_own_key_names_its_agent(api: Api):
    await post(api, EVENT | {"key": "k1"})
    [row] = await stored(api)
    own = new_key("agent")
    async with api.context.database.write() as tx:
        key = Key(
            new_id("key"), KeyKind.AGENT, "sql01's", hint_of(own), api.context.clock(), row.customer_id, row.agent_id
        )
        await insert_key(tx, key, api.context.secret.hash_key(own))
    batch = [{"key": "k1"}, {"key": "k2", "agent": "sql01"}, {"key": "k3", "agent": "ex02"}]
    answer = await post(api, batch, key=own)
    assert counts(answer) == (1, 1, 1)
    assert answer.json()["rejected"][0]["code"] == "agent_mismatch"
    assert {row.agent_id for row in await stored(api)} == {row.agent_id}


async def test_the_first_event_wakes_the_worker(api: Api):
    api.context.wakeups.events.clear()
    await post(api, EVENT)
    assert api.context.wakeups.events.is_set()
    await asyncio.sleep(0.3)  # PostgreSQL also delivers our own wake-up
    api.context.wakeups.events.clear()
    await post(api, EVENT)
    await asyncio.sleep(0.3)
    assert not api.context.wakeups.events.is_set(), "a duplicate is no news"


async def test_the_schema_describes_what_may_be_sent(api: Api):
    operation = (await api.client.get("/openapi.json")).json()["paths"]["/v1/events"]["post"]
    assert set(operation["requestBody"]["content"]) == {"application/json", "application/x-ndjson"}
    assert {"202", "400", "401", "403", "413", "415", "422", "503"} <= set(operation["responses"])
    assert operation["security"]


async def test_an_agent_that_was_deleted_is_created_again(api: Api):
    await post(api, EVENT | {"key": "k1"})
    async with api.context.database.write() as tx:
        await tx.connection.execute(agents.delete())
    api.app.state.intake.agents.forget()
    await post(api, EVENT | {"key": "k2"})
    async with api.context.database.read() as tx:
        assert await tx.connection.scalar(select(func.count()).select_from(agents)) == 1


async def test_a_body_without_a_key_is_not_read_whatever_its_size(api: Api):
    huge = b'{"name":"' + b"x" * 3_000_000 + b'"}'
    answer = await api.client.post("/v1/customers", content=huge, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await api.client.post("/v1/events", content=huge)).status_code == 401


async def test_a_large_body_is_stored_when_no_process_can_read_it(api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        reading_process, "_PROGRAM", "import sys; sys.exit(1)"
    )  # as on a machine without memory for one
    many = [EVENT | {"job": f"job{n}"} for n in range(499)]
    answer = await post(api, [*many, {"job": "j", "outcome": "failure"}])
    assert (answer.status_code, counts(answer)) == (202, (499, 0, 1))
    assert answer.json()["rejected"][0]["code"] == "agent_missing"
    assert len(await stored(api)) == 499
