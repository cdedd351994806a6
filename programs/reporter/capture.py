"""Keep a command's output in bounded memory: its head and tail for people, the end of each stream for readings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from programs.protocol.report import LOG_MOST

_HEAD = 16 * 1024
_ROOM = 256  # for the note between head and tail
_TAIL = LOG_MOST - _HEAD - _ROOM
_STREAM_TAIL = 64 * 1024
OUT, ERR, BOTH = "out", "err", "both"
_COLOURS = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]")


class OutputTail:
    """The last bytes of a stream."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = bytearray()

    def feed(self, data: bytes) -> None:
        """Add bytes."""
        self._kept += data[-self._most :]
        if len(self._kept) > 2 * self._most:  # not each time: moving the rest costs time
            del self._kept[: -self._most]

    def __bytes__(self) -> bytes:
        return bytes(self._kept[-self._most :])


@dataclass(frozen=True)
class CapturedOutput:
    """The output as text, once the command has ended: `log` for people, `out` and `err` for readings."""

    log: str = ""
    out: str = ""
    err: str = ""


class OutputCapture:
    """Collects the output of both streams in the order in which it came."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = OutputTail(_TAIL)
        self._size = 0
        self._streams = {name: OutputTail(_STREAM_TAIL) for name in (OUT, ERR, BOTH)}
        self._binary: set[str] = set()

    def feed(self, stream: str, data: bytes) -> None:
        """Add a piece of a stream. One with NUL in it is not text: a database that is dumped to stdout must not be in a log."""
        if stream in self._binary:
            return
        if b"\0" in data:
            self._binary.add(stream)
            data = b"\n[what follows is not text, and is left out]\n"
        self._streams[stream].feed(data)
        room = _HEAD - len(self._head)
        if room > 0:
            self._head += data[:room]
        self._size += len(data)
        self._tail.feed(data[max(0, room) :])

    def parts(self) -> Sequence[bytes]:
        """Return the output as bytes, for another process."""
        tail = bytes(self._tail)
        left_out = self._size - len(self._head) - len(tail)
        gap = b"\n[... %d bytes left out ...]\n" % left_out if left_out else b""
        out, err, both = (bytes(self._streams[name]) for name in (OUT, ERR, BOTH))
        return bytes(self._head) + gap + tail, out or both, err or both


def decode_output(parts: Sequence[bytes]) -> CapturedOutput:
    """Return the output as text, from `parts`."""
    log, out, err = (part.decode("utf-8", "replace") for part in parts)
    # As a terminal shows it: only the last state of a line that was overwritten, and no colours.
    lines = _COLOURS.sub("", log).replace("\r\n", "\n").split("\n")
    shown = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
    return CapturedOutput(shown, out, err)
