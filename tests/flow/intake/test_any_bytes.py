"""No bytes sent to POST /v1/events cause a 5xx answer."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.api import ENROL_KEY, Api, serving
from tests.support.examples import examples

FIELDS = [
    "key",
    "agent",
    "job",
    "run",
    "activity",
    "phase",
    "outcome",
    "severity",
    "occurred_at",
    "message",
    "log",
    "metrics",
    "labels",
    "extra",
    "x",
]
WORDS = [
    "",
    "a",
    "FAILURE",
    "backup",
    "finished",
    "2026-11-23T02:10:00Z",
    "0001-01-01T00:00:00+14:00",
    "\0",
    "\ud800",
    "\udfff\ud83d",
    "😀" * 60,
]
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.sampled_from(WORDS)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
sent_events = st.dictionaries(st.sampled_from(FIELDS), values).map(lambda event: {"agent": "a"} | event)
bodies = st.one_of(
    st.binary(max_size=300),
    sent_events.map(lambda event: json.dumps(event).encode()),
    st.lists(sent_events | values, max_size=5).map(lambda batch: json.dumps(batch).encode()),
    st.lists(sent_events, max_size=5).map(
        lambda batch: b"\n".join(json.dumps(one, ensure_ascii=False).encode("utf-8", "surrogatepass") for one in batch)
    ),
)
packings = st.sampled_from(["", "gzip", "zstd", "broken-gzip", "broken-zstd", "br"])
kinds = st.sampled_from(
    ["application/json", "application/x-ndjson", "", "text/plain", "application/json; charset=utf-16"]
)


class Served:
    """The app on a loop of its own, for hypothesis calls a test many times and each time as a plain function."""

    def __init__(self, url: str, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self._serving = serving(url, folder)
        self.api: Api = self.run(self._serving.__aenter__())

    def run(self, what: Any) -> Any:
        return self.loop.run_until_complete(what)

    def close(self) -> None:
        self.run(self._serving.__aexit__(None, None, None))
        self.loop.close()


@pytest.fixture
def served(database_url: str, tmp_path: Path) -> Iterator[Served]:
    served = Served(database_url, tmp_path)
    yield served
    served.close()


@settings(
    max_examples=examples(300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=bodies, packing=packings, kind=kinds)
def test_any_bytes_are_accepted_or_refused(served: Served, body: bytes, packing: str, kind: str):
    if packing.endswith("gzip"):
        body = gzip.compress(body)
    elif packing.endswith("zstd"):
        body = zstandard.compress(body)
    if packing.startswith("broken-"):
        body = body[: len(body) // 2] + b"\xff" + body[len(body) // 2 :]
    headers = {"Content-Encoding": packing.removeprefix("broken-")} | ({"Content-Type": kind} if kind else {})
    answer = served.run(served.api.ask("POST", "/v1/events", key=ENROL_KEY, content=body, headers=headers))
    assert answer.status_code in (202, 400, 413, 415, 422), answer.text
    answer.json()
    if answer.status_code == 202:
        assert not [one for one in answer.json()["rejected"] if one["code"] == "not_storable"]
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] != "not_storable"
