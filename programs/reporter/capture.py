"""Keep a command's output in bounded memory: its head and tail for people, the end of each stream for readings."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Sequence
from typing import NamedTuple

from programs.protocol.report import LOG_MOST

_HEAD = 16 * 1024
_ROOM = 256  # for the note between head and tail
_TAIL = LOG_MOST - _HEAD - _ROOM
_STREAM_TAIL = 64 * 1024
OUT, ERR, BOTH = "out", "err", "both"
# Colours, titles of windows and changes of the character set: escape sequences of a terminal (ECMA-48).
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|\][^\x07\x1b\n]{0,4096}(?:\x07|\x1b\\)?|[ -/]{1,3}[0-~]|[0-~])?"
)


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


class CapturedOutput(NamedTuple):
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
    log, out, err = (_ESCAPES.sub("", _decode(part)) for part in parts)
    # As a terminal shows it: only the last state of a line that was overwritten, and no colours.
    lines = log.replace("\r\n", "\n").split("\n")
    shown = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
    return CapturedOutput(shown, out, err)


def _decode(data: bytes) -> str:
    """Decode a piece of output, each line by itself: as UTF-8, else in the character set of the system's old programs."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(map(_decode_line, data.splitlines(keepends=True)))


def _decode_line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        lenient = line.decode("utf-8", "replace")
    # A line that also has valid UTF-8 was cut within a character, or holds one name in another encoding.
    return lenient if any(char > "\x7f" and char != "\ufffd" for char in lenient) else line.decode(_OLD, "replace")


def _old_encoding() -> str:
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415

        name = f"cp{ctypes.windll.kernel32.GetOEMCP()}"  # console programs such as robocopy write in it
        try:
            return codecs.lookup(name).name
        except LookupError:
            pass
    return "cp1252"


_OLD = _old_encoding()
