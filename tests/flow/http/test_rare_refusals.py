"""Refusals that clients and proxies meet rarely, over real sockets: each is a problem with a stable code, also where no endpoint was reached."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.running import Running, serving

EVENT = b'{"agent": "a", "job": "b", "outcome": "success"}'
SETTINGS = {"TOCSIN_KEY_EVENTS_A_MINUTE": "5", "TOCSIN_BATCH_LIMIT": "100000"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("refusals") / "var", **SETTINGS) as running:
        yield running


def exchange(service: Running, *pieces: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send these bytes, and return status, headers and body of the first answer."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as line:
        for piece in pieces:
            line.sendall(piece)
        received = line.makefile("rb")
        status = int(received.readline().split()[1])
        headers = {}
        while (header := received.readline().strip()) != b"":
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, received.read(int(headers["content-length"]))


def post(path: bytes, *headers: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: tocsin", b"Authorization: Bearer an-enrol-key-of-a-test", *headers]
    lines.append(b"Content-Length: %d" % (len(body) if length is None else length))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


JSON = b"Content-Type: application/json"
MANY = b"[" + b",".join([EVENT] * 6) + b"]"
CASES: dict[str, tuple[list[bytes], int, str]] = {
    "no HTTP": ([b"HELO tocsin\r\n\r\n"], 400, "malformed_request"),
    "TLS to the plain port": ([bytes.fromhex("16030100c8010000c40303") + bytes(150)], 400, "malformed_request"),
    "another version of HTTP": ([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], 400, "malformed_request"),
    "two lengths": (
        [b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
        400,
        "malformed_request",
    ),
    "a length that is no number": (
        [b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: all\r\n\r\n"],
        400,
        "malformed_request",
    ),
    "no length and no body": (
        [
            b"POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer an-enrol-key-of-a-test\r\n"
            + JSON
            + b"\r\n\r\n"
        ],
        400,
        "malformed_body",
    ),
    "a method that nobody has": ([b"PUT /v1/events HTTP/1.1\r\nHost: a\r\n\r\n"], 405, "wrong_method"),
    "an address of 60 KiB": ([post(b"/v1/nothing/" + b"a" * 61_000)], 404, "not_found"),
    "an address without end": ([b"GET /" + b"a" * 300_000, b"a"], 431, "head_too_long"),
    "headers without end": (
        [b"GET /healthz HTTP/1.1\r\n" + b"x-a: aaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 8_000, b"x-b: b\r\n"],
        431,
        "head_too_long",
    ),
    "a declared length over the limit": ([post(b"/v1/events", JSON, length=10**9)], 413, "too_large"),
    "a media type that is not read": ([post(b"/v1/events", b"Content-Type: text/csv", body=b"a;b")], 415, "wrong_type"),
    "a packing that is not read": (
        [post(b"/v1/events", JSON, b"Content-Encoding: br", body=EVENT)],
        415,
        "wrong_encoding",
    ),
    "a bad key": ([post(b"/v1/events", JSON, body=EVENT).replace(b"an-enrol", b"no-enrol")], 401, "key_unknown"),
    "beyond a budget": ([post(b"/v1/events", JSON, body=MANY)], 429, "budget_events_a_minute"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_refusal_is_a_problem_with_a_code(service: Running, case: str):
    pieces, status, code = CASES[case]
    answered, headers, body = exchange(service, *pieces)
    shown = json.loads(body)
    assert (answered, shown["status"], shown["code"]) == (status, status, code), shown
    assert headers["content-type"] == "application/problem+json"
    assert shown["detail"]
    if status in (429, 503):
        assert int(headers["retry-after"]) >= 1


def test_a_body_that_stops_is_answered_with_the_same_form(tmp_path: Path):
    """408 itself takes a minute: tests/flow/intake/test_slow_bodies.py. A body that is broken off is known at once."""
    with serving(tmp_path / "var") as service:
        broken = b"POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        status, headers, body = exchange(service, broken)
    assert (status, headers["content-type"]) in [(400, "application/problem+json"), (401, "application/problem+json")]
    assert json.loads(body)["code"]
