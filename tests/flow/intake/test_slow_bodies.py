"""Requests whose body comes too slowly or stops: at each tool's address what came is kept, and each connection is given up."""

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.flow.intake.test_cut_bodies import CASES
from tests.support.impatient import serving_impatiently
from tests.support.running import Running, wait_until

LONG = "Content-Length: 5000"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving_impatiently(tmp_path_factory.mktemp("slow") / "var") as running:
        yield running


def open_request(service: Running, line: str, body: bytes = b"", *headers: str) -> socket.socket:
    """Send a head and the start of a body, and leave the connection open."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    head = "\r\n".join([f"{line} HTTP/1.1", "Host: tocsin", LONG, *headers])
    connection.sendall(head.encode() + b"\r\n\r\n" + body)
    return connection


def read_all(connection: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(4096):
            found += piece
    return found


@pytest.mark.slow
def test_what_came_of_a_body_that_stops_is_kept_and_answered_at_every_address(service: Running):
    with contextlib.ExitStack() as stack:
        waiting = []
        for number, (line, body, _) in enumerate(CASES):
            address = line.replace("{job}", f"job{number}").format(service.enrol_key)
            waiting.append(stack.enter_context(open_request(service, address, body.encode())))
        answers = [read_all(connection) for connection in waiting]
    refused = [(CASES[at][0], answer) for at, answer in enumerate(answers) if not answer.startswith(b"HTTP/1.1 2")]
    # The protocol of CloudEvents has its own answer to half an event, which is kept all the same.
    assert [(line, answer[:12]) for line, answer in refused] == [(CASES[-1][0], b"HTTP/1.1 400")]

    def arrived() -> list[dict]:
        found = service.ask("/v1/events", limit=200)["items"]
        return found if len(found) >= len(CASES) else []

    kept = {one["job"]: (one["outcome"], "body_cut" in (one["flags"] or [])) for one in wait_until("all", arrived)}
    assert kept == {f"job{number}": (outcome, True) for number, (_, _, outcome) in enumerate(CASES)}


DRIPS = {
    "POST /v1/events": 400,  # the agent sends it again
    "POST /v1/routes": 408,
    "PUT /v1/retention": 408,
    "POST /v1/connect": 408,  # needs no key
    "POST /v1/nothing": 404,
    "GET /healthz": 200,  # no body is read at all
    "POST /nobody": 401,
}


@pytest.mark.slow
def test_a_body_that_drips_ends_with_its_connection(service: Running):
    with ThreadPoolExecutor(len(DRIPS)) as threads:
        answers = list(threads.map(lambda line: drip(service, line), DRIPS))
    assert dict(zip(DRIPS, answers, strict=True)) == DRIPS


def drip(service: Running, line: str) -> int:
    """Send a byte now and then until the connection is closed, and return the status that was answered."""
    key = service.enrol_key if line == "POST /v1/events" else service.admin_key
    headers = (f"Authorization: Bearer {key}", "Content-Type: application/json")
    answer, until = b"", time.monotonic() + 60
    with open_request(service, line, b"{", *headers) as connection:
        connection.settimeout(0.2)
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < until:
                connection.sendall(b" ")
                try:
                    piece = connection.recv(4096)
                except TimeoutError:
                    continue
                if not piece:
                    break
                answer += piece
    assert time.monotonic() < until, f"{line}: the connection was never closed"
    return int(answer.split()[1])
