"""A small NRDP server after its published protocol (NRDP 2): it checks the token, and passes results to Nagios as external commands."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs
from xml.etree import ElementTree as ET

TOKEN = "a-token-of-nrdp"


@contextmanager
def nrdp(commands: Path) -> Iterator[str]:
    """Serve until the block ends. `commands`: the command file of Nagios. Yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode(), keep_blank_values=True)
            if form["token"] != [TOKEN]:
                return self._answer(-1, "BAD TOKEN")
            assert form["cmd"] == ["submitcheck"]
            lines = [_command(result) for result in ET.fromstring(form["XMLDATA"][0]).iter("checkresult")]
            with commands.open("w") as pipe:
                pipe.writelines(lines)
            return self._answer(0, "OK")

        def _answer(self, status: int, message: str) -> None:
            body = f"<result><status>{status}</status><message>{message}</message></result>".encode()
            self.send_response(200)
            self.send_header("content-type", "text/xml")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/nrdp/"
    finally:
        server.shutdown()
        server.server_close()


def _command(result: ET.Element) -> str:
    assert result.get("type") == "service"
    host, service, state, output = (result.findtext(name) for name in ("hostname", "servicename", "state", "output"))
    return f"[{int(time.time())}] PROCESS_SERVICE_CHECK_RESULT;{host};{service};{state};{output}\n"
