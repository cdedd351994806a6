"""Local programs that take alerts and record them in order: PagerDuty's and Alertmanager's requests, and syslog's datagrams."""

import json
import random
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_ID = re.compile(rb' id="([^"]+)"')
REFUSED, CUT = (
    0.15,
    0.1,
)  # shares of the requests: answered 503 and not taken; taken, and the connection ends without an answer


@dataclass(frozen=True, slots=True)
class Taken:
    """One request or datagram about one alert, which a program took."""

    transport: str
    alert_id: str
    is_over: bool
    job: str


@dataclass(slots=True)
class Recorders:
    """The addresses of the programs, and all that they took, in order."""

    http_port: int = 0
    syslog_port: int = 0
    taken: list[Taken] = field(default_factory=list)
    are_well: bool = False  # they take every request and answer it

    def jobs(self) -> set[str]:
        """Return the jobs whose failure PagerDuty took."""
        return {one.job for one in list(self.taken) if one.transport == "pagerduty" and not one.is_over}

    def about(self, transport: str, alert_id: str) -> list[Taken]:
        """Return what a program took about an alert, in order."""
        return [one for one in self.taken if (one.transport, one.alert_id) == (transport, alert_id)]


@contextmanager
def recorders(dice: random.Random) -> Iterator[Recorders]:
    """Run the programs until the block ends."""
    kept, lock = Recorders(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                chance = 1.0 if kept.are_well else dice.random()
                if chance >= REFUSED:
                    kept.taken += _events(self.path, body)
            if REFUSED <= chance < REFUSED + CUT:
                self.close_connection = True
                return
            self.send_response(503 if chance < REFUSED else 202)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    def receive() -> None:
        while data := udp.recv(65536):
            found = _ID.search(data)
            assert found is not None, data
            with lock:
                kept.taken.append(Taken("syslog", found[1].decode(), b"alert.closed" in data, ""))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024
        )  # none is dropped while this process is busy
        udp.bind(("127.0.0.1", 0))
        kept.http_port, kept.syslog_port = server.server_address[1], udp.getsockname()[1]
        for work in (server.serve_forever, receive):
            threading.Thread(target=work, daemon=True).start()
        try:
            yield kept
        finally:
            server.shutdown()
            server.server_close()
            udp.sendto(b"", udp.getsockname())  # which ends `receive`


def _events(path: str, body: object) -> list[Taken]:
    if isinstance(body, dict):
        job = body.get("payload", {}).get("component", "")
        return [Taken("pagerduty", body["dedup_key"], body["event_action"] == "resolve", job)]
    assert isinstance(body, list), path
    return [Taken("alertmanager", _alert_id(one), "endsAt" in one, one["labels"].get("job", "")) for one in body]


def _alert_id(alert: dict[str, dict[str, str]]) -> str:
    return alert["labels"]["tocsin_alert"]
