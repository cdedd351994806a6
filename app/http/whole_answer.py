"""An answer that many requests get, encoded once for all of them: uvicorn checks and joins each header of each answer, and sends the body apart.

That took a tenth of the CPU time of a POST of one event. The connection (http/bounded_connection.py) offers to send such an answer as an
extension of ASGI. Where it does not, or cannot at the moment, the answer goes the usual way.
"""

from collections.abc import Callable, Iterable

from starlette.responses import Response

SEND_WHOLE = "tocsin.send_whole"  # in the extensions of a request's scope
# Sends an answer of a status, from its headers to the end of its body. Returns False if nothing was sent.
SendWhole = Callable[[int, bytes], bool]


class SharedAnswer(Response):
    """An answer that is made once and sent many times: nobody may change it."""


def encode_whole(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """Return headers, with that of the length among them, and body as HTTP/1.1 sends them."""
    return b"".join([*(name + b": " + value + b"\r\n" for name, value in headers), b"\r\n", body])
