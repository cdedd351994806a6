"""Reads a request's body from the ASGI stream, within bounds, and unpacks it. It must not know what the bytes mean."""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from app.core.errors import MalformedBody, TooLarge, WrongType
from app.core.settings import Settings
from app.intake.patience import within
from app.intake.unpack import Bound, unpacked

Receive = Callable[[], Awaitable[Mapping[str, Any]]]

READ_S = 60.0  # who takes longer for a body of a few MiB holds a connection, not a backup's news
_BIG = 256 * 1024  # from here on, unpacking in the event loop would be felt by others
_ARRAY = re.compile(rb"\s*\[")
_UNREADABLE_MOST = 8 * 1024  # of packed bytes that do not unpack, for whoever wants to know what they are
_BOM = b"\xef\xbb\xbf"  # PowerShell writes one


class Form(StrEnum):
    """What the media type says the body is."""

    JSON = "application/json"
    LINES = "application/x-ndjson"


_FORMS = {
    "": Form.JSON,
    "application/json": Form.JSON,
    "application/x-ndjson": Form.LINES,
    "application/ndjson": Form.LINES,
    "application/jsonl": Form.LINES,
}
_ENCODINGS = {"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}
_TOOLS_ENCODINGS = _ENCODINGS | {"deflate": "deflate"}


@dataclass(frozen=True, slots=True)
class Head:
    """What the request's head says of its body, as sent."""

    content_type: str
    content_encoding: str
    content_length: str


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes as they were before packing. `is_single`: one event, not an array nor lines."""

    data: bytes
    form: Form
    is_single: bool


async def read_body(head: Head, receive: Receive, settings: Settings) -> Body:
    """Read all of it. Raises WrongType, TooLarge, MalformedBody."""
    form, encoding = _form(head.content_type), _encoding(head.content_encoding)
    most = settings.batch_limit
    # Told in advance, it is refused in advance: nothing is gained by reading what will not be kept.
    if head.content_length.isdecimal() and int(head.content_length[:19]) > most:
        raise TooLarge(f"the body is larger than {most} bytes")
    bound = Bound(settings.event_limit if form is Form.JSON else most, most)
    try:
        packed = await within(READ_S, _read(receive, most, None if encoding else bound))
    except TimeoutError:
        raise MalformedBody(f"the body did not come within {READ_S:.0f} s", code="body_slow") from None
    if not encoding:
        data = packed
    elif len(packed) > _BIG:
        data = await asyncio.to_thread(unpacked, packed, encoding, bound)
    else:
        data = unpacked(packed, encoding, bound)
    if data.startswith(_BOM):
        data = data[3:]
    return Body(data, form, form is Form.JSON and _ARRAY.match(data) is None)


async def read_any(receive: Receive, content_encoding: str, most: int) -> bytes:
    """Read a body from a tool that may say anything of it: what cannot be unpacked is kept as it came. Raises TooLarge, MalformedBody."""
    try:
        packed = await within(READ_S, _read(receive, most, None))
    except TimeoutError:
        raise MalformedBody(f"the body did not come within {READ_S:.0f} s", code="body_slow") from None
    encoding = _TOOLS_ENCODINGS.get(content_encoding.strip().lower(), "")
    if not encoding:
        return packed
    try:
        return await asyncio.to_thread(unpacked, packed, encoding, Bound(most, most))
    except MalformedBody:
        return packed


async def read_cut(receive: Receive, content_encoding: str, most: int) -> bytes:
    """Read the body of a request whose address says the main thing. It never fails: of a body that is too long head and tail are kept,

    of one that breaks off what came. A log that is too long must not cost the failure that it belongs to.
    """
    kept = _Ends(most)
    with contextlib.suppress(TimeoutError):
        await within(READ_S, _keep(receive, kept))
    packed = kept.whole()
    encoding = _TOOLS_ENCODINGS.get(content_encoding.strip().lower(), "")
    if not encoding:
        return packed
    try:
        return await asyncio.to_thread(unpacked, packed, encoding, Bound(most, most))
    except (MalformedBody, TooLarge):
        return packed[:_UNREADABLE_MOST]


async def _keep(receive: Receive, kept: "_Ends") -> None:
    more = True
    while more:
        message = await receive()
        kept.take(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)


class _Ends:
    """Keeps the first third and the last two thirds of what comes, at most `most` bytes; it holds twice as many for a while."""

    def __init__(self, most: int) -> None:
        self._head, self._tail = bytearray(), bytearray()
        self._head_most, self._tail_most = most // 3, most - most // 3

    def take(self, chunk: bytes) -> None:
        room = self._head_most - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        if len(self._tail) > 2 * self._tail_most:
            del self._tail[: -self._tail_most]

    def whole(self) -> bytes:
        return bytes(self._head + self._tail[-self._tail_most :])


async def _read(receive: Receive, most: int, bound: Bound | None) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise MalformedBody("the connection ended before the body did", code="body_cut")
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        chunks.append(chunk)
        if size > most:
            raise TooLarge(f"the body is larger than {most} bytes")
        if bound is not None:
            bound.take(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


@lru_cache(64)
def _form(content_type: str) -> Form:
    name, _, parameters = content_type.partition(";")
    form = _FORMS.get(name.strip().lower())
    if form is None:
        raise WrongType(f"send application/json or application/x-ndjson, not {name.strip()[:100]!r}")
    charset = parameters.lower().replace('"', "").replace(" ", "").partition("charset=")[2].partition(";")[0]
    if charset not in ("", "utf-8", "utf8", "us-ascii"):
        raise WrongType(f"send UTF-8, not {charset[:40]!r}")
    return form


@lru_cache(64)
def _encoding(content_encoding: str) -> str:
    encoding = _ENCODINGS.get(content_encoding.strip().lower())
    if encoding is None:
        raise WrongType(f"pack with gzip or zstd, not {content_encoding[:100]!r}", code="wrong_encoding")
    return encoding
