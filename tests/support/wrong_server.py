"""A server that answers any request with the same bytes, in pieces, and disconnects: for tests of wrong servers."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import trustme


def tls(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return the TLS context of a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@contextmanager
def answering(pieces: Sequence[bytes], pause_s: float = 0, *, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Answer each connection's first request with `pieces`, `pause_s` between them. Yields the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(listening, pieces, pause_s, tls), daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def _serve(listening: socket.socket, pieces: Sequence[bytes], pause_s: float, tls: ssl.SSLContext | None) -> None:
    while True:
        try:
            line, _ = listening.accept()
        except OSError:
            return
        with contextlib.suppress(OSError), line:
            line.settimeout(20)
            with contextlib.ExitStack() as stack:
                if tls is not None:
                    line = stack.enter_context(tls.wrap_socket(line, server_side=True))
                _request(line)
                for piece in pieces:
                    line.sendall(piece)
                    time.sleep(pause_s)


def _request(line: socket.socket) -> None:
    """Read a request to its end: closing the connection earlier would reset it, and the client would lose the answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += line.recv(65536) or b"\r\n\r\n"
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(one[15:]) for one in head.lower().split(b"\r\n") if one.startswith(b"content-length:")), 0)
    while len(body) < length and (more := line.recv(65536)):
        body += more
