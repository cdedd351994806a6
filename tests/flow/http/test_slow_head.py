"""The server disconnects a client whose request headers never end, and serves others meanwhile."""

import socket
from pathlib import Path

import httpx
import pytest

from tests.support.running import serving


@pytest.mark.parametrize("piece", [b"X-Big: %s\r\n" % (b"a" * 60_000), b"a" * 60_000], ids=["many", "one"])
def test_a_connection_whose_headers_never_end_is_closed_by_the_server(tmp_path: Path, piece: bytes):
    with serving(tmp_path) as running:
        with socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2])), 20) as line:
            line.sendall(b"GET /ping/x HTTP/1.1\r\nHost: x\r\nX-First: ")
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                line.sendall(piece * 2000)
        assert httpx.get(f"{running.url}/healthz").is_success
