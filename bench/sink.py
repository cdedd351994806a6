"""A fast SMTP server that takes everything and keeps nothing, in a process of its own: `python -m bench.sink EVERY`.

It offers what Postfix, Exim and Exchange offer, PIPELINING too.

It listens on TOCSIN_PORT. After each EVERY messages it prints the moment (time.monotonic, the same in all processes) at which
it had answered 250, and the last message's subject.
"""

import asyncio
import os
import sys
import time

import uvloop

_ANSWERS = {
    b"EHLO": b"250-sink\r\n250-PIPELINING\r\n250-SIZE 35882577\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
    b"DATA": b"354 go on\r\n",
}


class Session(asyncio.Protocol):
    """One connection."""

    taken = 0
    every = 1

    def __init__(self) -> None:
        self._buffer = b""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = transport
        self._say(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer each complete command or message."""
        self._buffer += data
        while True:
            piece, end, rest = self._buffer.partition(b"\r\n.\r\n" if self._in_data else b"\r\n")
            if not end:
                return
            self._buffer = rest
            if self._in_data:
                self._take(piece)
            else:
                self._obey(piece[:4].upper())

    def _obey(self, command: bytes) -> None:
        self._in_data = command == b"DATA"
        self._say(_ANSWERS.get(command, b"250 ok\r\n"))
        if command == b"QUIT":
            self._transport.close()

    def _take(self, message: bytes) -> None:
        self._in_data = False
        self._say(b"250 2.0.0 taken\r\n")
        Session.taken += 1
        if Session.taken % Session.every == 0:
            subject = (b"\n" + message).partition(b"\nSubject: ")[2].partition(b"\r\n")[0]  # it may be the first line
            print(time.monotonic(), subject.decode("ascii", "replace"), flush=True)

    def _say(self, words: bytes) -> None:
        self._transport.write(words)  # type: ignore[attr-defined]


async def main() -> None:
    """Serve until terminated."""
    server = await asyncio.get_running_loop().create_server(Session, "127.0.0.1", int(os.environ["TOCSIN_PORT"]))
    await server.serve_forever()


if __name__ == "__main__":
    Session.every = int(sys.argv[1])
    uvloop.run(main())
