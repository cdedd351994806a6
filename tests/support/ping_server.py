"""A small HTTP server that keeps the pings it gets, as a service that watches others does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True)
class Ping:
    """One ping."""

    method: str
    path: str
    query: dict[str, str]
    body: str


@dataclass(slots=True)
class PingServer:
    """The pings so far. While `hangs` is not set, each is answered with `status`."""

    port: int
    pings: list[Ping] = field(default_factory=list)
    status: int = 200
    hangs: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)


@contextmanager
def ping_server() -> Iterator[PingServer]:
    """Serve on a free port until the block ends."""
    kept: PingServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            kept.pings.append(Ping(self.command, url.path, query, body))
            if kept.hangs.is_set():
                kept.released.wait(60)
            self.send_response(kept.status)
            self.send_header("content-length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815  (named by http.server)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept = PingServer(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        kept.released.set()
        server.shutdown()
        server.server_close()
