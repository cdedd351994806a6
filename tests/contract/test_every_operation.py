"""Every operation, asked with every kind of key, and with requests that break a rule: nobody gets in, and every answer is one that the schema lists."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from app.http.tools import mounts
from programs.protocol import relay as relay_protocol
from tests.support.api import ADMIN_KEY, ENROL_KEY, Api, serving
from tests.support.sources import ROOT

METHODS = ("get", "post", "put", "patch", "delete")
SCHEMA = json.loads((ROOT / "openapi/openapi.json").read_text(encoding="utf-8"))  # test_openapi.py holds it to the app
NOBODY = frozenset[str]()
READERS, ADMINS, SENDERS, RELAYS = (
    frozenset({"admin", "viewer"}),
    frozenset({"admin"}),
    frozenset({"enrol", "agent"}),
    frozenset({"relay"}),
)
# What differs from: reading needs an admin or viewer key, everything else an admin key.
LET_IN = {
    ("post", "/v1/events"): SENDERS,
    ("get", "/v1/connect"): READERS | {"agent"},
    ("get", "/v1/recipients/{recipient_id}/webhook-secret"): ADMINS,
    ("post", "/v1/mail-rules:try"): READERS,
    ("get", "/metrics/jobs"): READERS | {"monitor"},
    ("get", "/v1/status"): READERS | {"monitor"},
    ("get", "/v1/status/jobs"): READERS | {"monitor"},
    ("get", "/v1/status/jobs/{job_id}"): READERS | {"monitor"},
}
SIGNED = frozenset({"/v1/acknowledgements/pagerduty/{recipient}", "/v1/acknowledgements/opsgenie/{recipient}"})
PUBLIC = frozenset({"/healthz", "/readyz", "/metrics", "/downloads/{name}"}) | SIGNED
ABSENT = "0" * 28


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the schema."""

    method: str
    path: str
    described: Mapping[str, Any]

    @property
    def let_in(self) -> frozenset[str]:
        """The kinds of key that may call it."""
        default = READERS if self.method == "get" else ADMINS
        return LET_IN.get((self.method, self.path), default)

    @property
    def address(self) -> str:
        """Its path, with the id of nothing."""
        prefixes = {"customer": "cus", "agent": "agt", "relay": "rly"}
        path = self.path
        for parameter in self.described.get("parameters", []):
            if parameter["in"] == "path":
                name = parameter["name"]
                value = (
                    f"{prefixes.get(name.removesuffix('_id'), name[:3])}_{ABSENT}" if name.endswith("_id") else "none"
                )
                path = path.replace("{" + name + "}", value)
        return path

    @property
    def example(self) -> Any:
        """An example of its body; None: it has no body."""
        media = self.described.get("requestBody", {}).get("content", {}).get("application/json")
        if media is None:
            return None
        if "example" in media:
            return media["example"]
        parts = [media["schema"], *media["schema"].get("anyOf", [])]
        named = [SCHEMA["components"]["schemas"].get(part.get("$ref", "").rpartition("/")[2], {}) for part in parts]
        return next(part["examples"][0] for part in (*parts, *named) if part.get("examples"))


OPERATIONS = [
    Operation(method, path, described)
    for path, methods in SCHEMA["paths"].items()
    for method, described in methods.items()
    if method in METHODS
]
INTERNAL = [
    relay_protocol.LEASE,
    relay_protocol.BEGIN,
    relay_protocol.RENEW,
    relay_protocol.RECEIPTS,
    relay_protocol.HEARTBEAT,
    relay_protocol.CHECK,
]


@dataclass(slots=True)
class Keys:
    """A key of every kind, by its name here: `kind`, or how one is wrong."""

    valid: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)


@pytest.fixture
async def api(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(sqlite_database_url, tmp_path) as api:
        yield api


async def make_keys(api: Api) -> Keys:
    [customer] = await api.items("/v1/customers")
    owner = {"customer_id": customer["id"]}
    agent = await api.tell("POST", "/v1/agents", json={"name": "sql01", **owner})
    gone = await api.tell("POST", "/v1/agents", json={"name": "gone", **owner})
    relay = await api.tell("POST", "/v1/relays", json={"name": "mail01"})

    async def key(kind: str, **more: Any) -> tuple[str, str]:
        made = await api.tell("POST", "/v1/keys", json={"kind": kind, "name": kind, **more})
        return made["id"], made["key"]

    of_relay = {"relay_id": relay["relay"]["id"] if "relay" in relay else relay["id"]}
    keys = Keys({"admin": ADMIN_KEY, "enrol": ENROL_KEY})
    for kind, more in (("viewer", {}), ("monitor", {}), ("agent", {"agent_id": agent["id"]}), ("relay", of_relay)):
        keys.valid[kind] = (await key(kind, **more))[1]
    owners = {"role": "owner"}
    for kind, more in (("admin", {}), ("enrol", owner), ("relay", of_relay), ("access", owners), ("monitor", {})):
        key_id, keys.wrong[f"revoked {kind}"] = await key(kind, **more)
        await api.tell("DELETE", f"/v1/keys/{key_id}")
    shared = await api.tell("POST", "/v1/share-links", json={"kind": "wall", "name": "wall", "customer_ids": None})
    keys.wrong["of a share link"] = shared["token"]
    keys.wrong["of a deleted agent"] = (await key("agent", agent_id=gone["id"]))[1]
    await api.tell("DELETE", f"/v1/agents/{gone['id']}")
    keys.wrong |= {"none": "", "unknown": "tocsin_admin_" + "x" * 43, "too long": "x" * 10_000}
    keys.wrong |= {"part": ADMIN_KEY[:-1], "other case": ADMIN_KEY.upper(), "with a space": f"{ADMIN_KEY} {ADMIN_KEY}"}
    return keys


@pytest.mark.parametrize("wrong_each", [2, pytest.param(100, marks=pytest.mark.slow)])
async def test_every_operation_lets_in_its_kinds_of_key_and_no_other(api: Api, wrong_each: int) -> None:
    """`wrong_each`: how many keys that are no key are tried on each operation, in turn."""
    keys = await make_keys(api)
    turn = cycle(keys.wrong.items())
    before = await api.items("/v1/audit")
    holes, shut = [], []
    for operation in OPERATIONS:
        if operation.path in PUBLIC:
            continue
        body = {} if operation.example is None else {"json": operation.example}
        wrong = dict(islice(turn, min(wrong_each, len(keys.wrong))))
        for name, key in {**keys.valid, **wrong}.items():
            if name in operation.let_in:
                continue
            answer = await api.ask(operation.method.upper(), operation.address, key=key, **body)
            if answer.status_code != (403 if name in keys.valid else 401):
                holes.append((operation.method, operation.path, name, answer.status_code))
    assert holes == []
    assert await api.items("/v1/audit") == before, "who was refused changed something"
    for operation in OPERATIONS:
        for name in operation.let_in if operation.path not in PUBLIC else NOBODY:
            answer = await api.ask(operation.method.upper(), operation.address, key=keys.valid[name], content=b"{")
            if answer.status_code in (401, 403):
                shut.append((operation.method, operation.path, name, answer.json()["detail"]))
    assert shut == []


async def test_a_relays_operations_let_in_relays_only(api: Api) -> None:
    keys = await make_keys(api)
    for path in INTERNAL:
        for name, key in {**keys.valid, **keys.wrong}.items():
            answer = await api.ask("POST", path, key=key, json={})
            assert (answer.status_code in (401, 403)) is (name != "relay"), (path, name, answer.status_code)


async def test_the_endpoints_of_tools_store_for_keys_of_senders_only(api: Api) -> None:
    keys = await make_keys(api)
    for mount in mounts.MOUNTS:
        for path in mount.paths:
            for name, key in {**keys.valid, **keys.wrong}.items():
                if name in SENDERS or len(key) > 1000:
                    continue
                address = path.replace("{rest:path}", f"{key}/nightly").replace("{key}", key or "x")
                address = address.replace("{project}", "1").replace("{monitor}", "m")
                headers = {"X-Tocsin-Key": key}
                await api.ask("POST", address, key=key, headers=headers, content=b"backup failed")
    assert await api.items("/v1/events") == []


BODIES = [
    *(
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"1",
        b"{}",
        b"\xff\xfe",
        b'{"\\u0000": 1}',
        b'{"a": 1e999, "b": NaN}',
        b"[" * 5000,
    ),
    b'{"a": "\\ud800"}',
    b" " * (1024 * 1024 + 1),
]
HEADERS = [
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": "multipart/form-data; boundary=x"},
    {"Content-Encoding": "gzip"},
    {"Content-Encoding": "br"},
]
TAGS = ["", "x", '"v1', "*", 'W/"v1"', '"v' + "9" * 40 + '"', '"v1", "v2"']
QUERIES = [
    "limit=0",
    "limit=x",
    "limit=" + "9" * 40,
    "cursor=x",
    "cursor=%FF%00",
    "unknown=1",
    "name=%00",
    "name=" + "x" * 300,
    "customer_id=x",
    "since=x",
]
IDS = ["x", "%00", "x" * 300, "%FF", "agt_" + "g" * 28]
WRONG_VALUES: list[Any] = [None, "\x00", "", [], {}, -1, 10**30, True, ["\x00"], "x" * 5000]


def wrong_requests(operation: Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the addresses and the rest of requests that break a rule."""
    address, example = operation.address, operation.example
    for body in BODIES if example is not None else BODIES[:2]:
        yield address, {"content": body, "headers": {"Content-Type": "application/json"}}
    if example is not None:
        yield from ((address, {"content": json.dumps(example), "headers": headers}) for headers in HEADERS)
    if operation.method in ("patch", "put", "delete"):
        body = {} if example is None else {"json": example}
        yield from ((address, {"headers": {"If-Match": tag}, **body}) for tag in TAGS)
    if operation.method == "get":
        yield from ((f"{address}?{query}", {}) for query in QUERIES)
    if ABSENT in address:
        head, _, tail = address.partition(ABSENT)
        yield from ((f"{head.rpartition('/')[0]}/{wrong}{tail}", {}) for wrong in IDS)
    for name in example if isinstance(example, dict) else ():
        yield from ((address, {"json": {**example, name: value}}) for value in WRONG_VALUES)


@pytest.mark.slow
async def test_every_answer_to_a_wrong_request_is_one_that_the_schema_lists(api: Api) -> None:
    undocumented: dict[tuple[str, str, int], str] = {}
    for operation in OPERATIONS:
        key = ENROL_KEY if operation.let_in == SENDERS else ADMIN_KEY
        for address, request in wrong_requests(operation):
            answer = await api.ask(operation.method.upper(), address, key=key, **request)
            status, media = answer.status_code, answer.headers.get("content-type", "")
            is_problem = media.startswith("application/problem+json") or operation.path in PUBLIC
            if str(status) not in operation.described["responses"] or (status >= 400 and not is_problem):
                undocumented[operation.method, operation.path, status] = f"{address[-60:]} {request}"[:200]
    assert undocumented == {}, "\n".join(map(str, undocumented.items()))
