"""Bodies that are made to cost far more than their size, in every form that intake reads: each is bounded in CPU time and memory, and refused with a reason."""

import gzip
import json
import zlib
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.support import bombs
from tests.support.cpu_noise import CPU_NOISE
from tests.support.running import CLIENT, Running, serving

JSON, NDJSON = "application/json", "application/x-ndjson"
CPU_MOST_S = 4.0  # of all processes of the service; 16 MiB of events take 1 to 2 s, with their way through the worker
MEMORY_MOST = 400 * 1024 * 1024  # more than before the first of them
Z20 = bytes(20 * 1024 * 1024)
Z20_PACKED = gzip.compress(Z20)
SIZE = 400_000
OURS = dict(bombs.json_bodies())


def event(**fields: object) -> bytes:
    return json.dumps({"agent": "a", "job": "j", "outcome": "failure", **fields}).encode()


# Name, media type, Content-Encoding, body; the status of the answer, its code and its field.
ROWS: list[tuple[str, str, str, bytes, int, str | None, str | None]] = [
    ("deep lists", JSON, "", b"[" * SIZE, 400, "malformed_body", None),
    ("deep and closed", JSON, "", b"[" * SIZE + b"]" * SIZE, 400, "malformed_body", None),
    ("deep objects", JSON, "", OURS["deep objects"], 400, "malformed_body", None),
    ("wide", JSON, "", OURS["many keys"], 202, None, None),
    ("a huge number", JSON, "", OURS["a huge number"], 202, None, None),
    ("a huge exponent", JSON, "", event().replace(b'"j"', b'"j","metrics":{"n":1e' + b"9" * 9000 + b"}"), 202, None, None),
    ("too many events", JSON, "", OURS["empty events"], 413, "too_many_events", None),
    ("16 MiB of events", JSON, "", b"[" + b",".join([event(extra={"x": "y" * 1600})] * 9_500) + b"]", 202, None, None),
    ("over 16 MiB", JSON, "", b"[" + b" " * (17 * 1024 * 1024), 413, "too_large", None),
    ("many lines", NDJSON, "", b"{}\n" * 100_000, 413, "too_many_events", None),
    ("one long line", NDJSON, "", event(log="a" * 2_000_000), 422, "too_large", None),
    ("gzip", JSON, "gzip", Z20_PACKED, 413, "too_large", None),
    ("gzip of nothing", JSON, "gzip", gzip.compress(b"") * 20_000, 400, "malformed_packing", None),
    ("gzip in gzip", JSON, "gzip", gzip.compress(Z20_PACKED), 400, "malformed_body", None),
    ("gzip twice", JSON, "gzip, gzip", gzip.compress(Z20_PACKED), 415, "wrong_encoding", "Content-Encoding"),
    ("deflate", JSON, "deflate", zlib.compress(Z20, 1), 415, "wrong_encoding", "Content-Encoding"),
    ("brotli", JSON, "br", b"\x0b\x02\x80hi\x03", 415, "wrong_encoding", "Content-Encoding"),
    ("NUL", JSON, "", event(message="a\0b", labels={"a\0": "\0"}, job="j\0"), 202, None, None),
    ("halves of characters", JSON, "", event(log="").replace(b'"log": "', b'"log": "' + b"\\udfff" * 60_000), 202, None, None),
    ("XML", "application/xml", "", b"<a>" * 100_000, 415, "wrong_type", "Content-Type"),
    ("a form", "application/x-www-form-urlencoded", "", b"a=%e2%80&" * 40_000, 415, "wrong_type", "Content-Type"),
    ("multipart", "multipart/form-data; boundary=b", "", b"--b\r\n\r\nx\r\n" * 9_000, 415, "wrong_type", "Content-Type"),
]  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, int]]:
    with serving(tmp_path_factory.mktemp("bombs")) as running:
        running.ask("/v1/jobs")
        CLIENT.post(f"{running.url}/in/ntfy/{running.enrol_key}", content=b"x " * 5000, timeout=60)
        yield running, measure(running)[1]


def measure(running: Running) -> tuple[float, int]:
    """Return the CPU seconds and the memory of all processes of the service."""
    server = psutil.Process(running.processes[-1].pid)
    family = [server, *server.children(recursive=True)]
    times = [one.cpu_times() for one in family]
    return sum(one.user + one.system for one in times), sum(one.memory_info().rss for one in family)


def check(service: tuple[Running, int], path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
    """Send a body, and fail unless its cost is bounded."""
    running, memory = service
    before = measure(running)[0]
    answer = CLIENT.post(f"{running.url}{path}", content=body, headers=headers, timeout=120)
    used, now = measure(running)
    assert used - before < CPU_MOST_S * CPU_NOISE
    assert now - memory < MEMORY_MOST
    return answer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "encoding", "body", "status", "code", "field"), ROWS, ids=[row[0] for row in ROWS]
)
def test_a_body_of_events_is_bounded_and_refused_with_a_reason(
    service: tuple[Running, int], name: str, kind: str, encoding: str, body: bytes, status: int, code: str | None, field: str | None
):  # fmt: skip
    headers = {"Authorization": f"Bearer {service[0].enrol_key}", "Content-Type": kind}
    answer = check(service, "/v1/events", headers | ({"Content-Encoding": encoding} if encoding else {}), body)
    found = answer.json()
    assert (answer.status_code, found.get("code"), found.get("field")) == (status, code, field), answer.text[:300]
    assert code is None or len(found["detail"]) > 5


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "br"])
def test_the_same_from_a_tool_is_stored_or_refused_in_bounds(service: tuple[Running, int], encoding: str):
    pack = {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress, "br": bytes}[encoding]
    key = service[0].enrol_key
    for name, kind, _, body, *_ in ROWS:
        if len(body) > SIZE * 2 and encoding in ("deflate", "br"):  # as the same without packing
            continue
        for path in (f"/in/ntfy/{key}", f"/in/apprise/{key}"):
            headers = {"Content-Type": kind} | ({"Content-Encoding": encoding} if encoding else {})
            assert check(service, path, headers, pack(body)).status_code < 500, (name, path)
