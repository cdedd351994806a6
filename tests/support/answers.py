"""A service that sends scripted answers in turn, as a proxy that refuses or a service that is busy does, and keeps the requests."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, Mapping[str, str], bytes]


@dataclass
class Asked:
    """The port, and the requests: path and body of each."""

    port: int
    requests: list[tuple[str, bytes]] = field(default_factory=list)


@contextmanager
def answering_in_turn(answers: Sequence[Answer]) -> Iterator[Asked]:
    """Serve each of `answers` once, and the last one from then on."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers, content = answers[min(len(asked.requests), len(answers) - 1)]
            asked.requests.append((self.path, body))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    asked = Asked(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
