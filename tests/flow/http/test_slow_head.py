"""The server disconnects a client whose request headers never end, and serves others meanwhile."""

import socket
from collections.abc import Iterator

import pytest

from tests.support.running import CLIENT, Running, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("slow-head")) as running:
        yield running


@pytest.mark.parametrize("piece", [b"X-Big: %s\r\n" % (b"a" * 60_000), b"a" * 60_000], ids=["many", "one"])
def test_a_connection_whose_headers_never_end_is_closed_by_the_server(service: Running, piece: bytes):
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), 20) as line:
        line.sendall(b"GET /ping/x HTTP/1.1\r\nHost: x\r\nX-First: ")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            line.sendall(piece * 2000)
    assert CLIENT.get(f"{service.url}/healthz").is_success
