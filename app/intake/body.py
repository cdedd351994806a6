"""Read a request's body from the ASGI stream, with limits on size and time, and decompress it. The content is not interpreted here."""

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeVar

from app.core.errors import MalformedBody, TooLarge, WrongType
from app.core.settings import Settings
from app.intake.decompress import SizeLimit, decompress

T = TypeVar("T")
Receive = Callable[[], Awaitable[Mapping[str, Any]]]

READ_TIMEOUT_S = 60.0  # a client that needs longer for a few MiB would only hold a connection
_THREAD_THRESHOLD = (
    1024  # larger bodies are decompressed in a thread: 16 KiB can become 16 MiB, while other requests wait
)
_MAX_UNREADABLE = 8 * 1024  # bytes kept of a body that cannot be decompressed, so that an administrator can identify it
_BOM = b"\xef\xbb\xbf"  # PowerShell writes one


class BodyFormat(StrEnum):
    """What the media type declares the body to be."""

    JSON = "application/json"
    LINES = "application/x-ndjson"


_FORMATS = {
    "": BodyFormat.JSON,
    "application/json": BodyFormat.JSON,
    "application/x-ndjson": BodyFormat.LINES,
    "application/ndjson": BodyFormat.LINES,
    "application/jsonl": BodyFormat.LINES,
}
_ENCODINGS = {"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}
_TOOL_ENCODINGS = _ENCODINGS | {"deflate": "deflate"}


class BodyHeaders(NamedTuple):
    """The request headers that describe its body, as sent."""

    content_type: str
    content_encoding: str
    content_length: str


class RequestBody(NamedTuple):
    """The decompressed bytes. `is_single`: one event, neither an array nor lines."""

    data: bytes
    format: BodyFormat
    is_single: bool


async def read_body(headers: BodyHeaders, receive: Receive, settings: Settings) -> RequestBody:
    """Read the whole body of POST /v1/events. Raises WrongType, TooLarge, MalformedBody."""
    body_format, encoding = _parse_content_type(headers.content_type), _parse_encoding(headers.content_encoding)
    max_size = settings.batch_limit
    # A length that is announced is refused before reading: nothing would be kept of the body.
    if headers.content_length.isdecimal() and int(headers.content_length[:19]) > max_size:
        raise TooLarge(f"the body is larger than {max_size} bytes")
    limit = SizeLimit(settings.event_limit if body_format is BodyFormat.JSON else max_size, max_size)
    chunks: list[bytes] = []
    try:
        await run_within(READ_TIMEOUT_S, _collect(receive, max_size, None if encoding else limit, chunks))
    except TimeoutError:
        raise MalformedBody(f"the body did not arrive within {READ_TIMEOUT_S:.0f} s", code="body_slow") from None
    raw = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    if not encoding:
        data = raw
    elif len(raw) > _THREAD_THRESHOLD:
        data = await asyncio.to_thread(decompress, raw, encoding, limit)
    else:
        data = decompress(raw, encoding, limit)
    if data.startswith(_BOM):
        data = data[3:]
    return RequestBody(data, body_format, body_format is BodyFormat.JSON and data.lstrip()[:1] != b"[")


@dataclass(frozen=True, slots=True)
class ToolBody:
    """A tool's body. `is_cut`: it broke off, or did not arrive in time; then the data is what came."""

    data: bytes = b""
    is_cut: bool = False


async def read_tool_body(receive: Receive, content_encoding: str, max_size: int) -> ToolBody:
    """Read a body from a tool that may declare anything about it. Raises TooLarge.

    A body that cannot be decompressed is returned as it came.
    """
    chunks: list[bytes] = []
    is_cut = False
    try:
        await run_within(READ_TIMEOUT_S, _collect(receive, max_size, None, chunks))
    except (MalformedBody, TimeoutError):  # the tool will not send it again, so what came must be kept
        is_cut = True
    raw = b"".join(chunks)
    encoding = _TOOL_ENCODINGS.get(content_encoding.strip().lower(), "")
    if not encoding:
        return ToolBody(raw, is_cut)
    try:
        return ToolBody(await asyncio.to_thread(decompress, raw, encoding, SizeLimit(max_size, max_size)), is_cut)
    except MalformedBody:
        return ToolBody(raw, is_cut)


async def read_truncated_body(receive: Receive, content_encoding: str, max_size: int) -> ToolBody:
    """Read the body of a signal: a request whose address holds the result. It never fails.

    Of a body that is too long, head and tail are kept; of one that breaks off, what came. A log that is too long must not
    lose the failure that it belongs to.
    """
    kept = _HeadAndTail(max_size)
    try:
        is_cut = not await run_within(READ_TIMEOUT_S, _read_into(receive, kept))
    except TimeoutError:
        is_cut = True
    raw = kept.joined()
    encoding = _TOOL_ENCODINGS.get(content_encoding.strip().lower(), "")
    if not encoding:
        return ToolBody(raw, is_cut)
    try:
        return ToolBody(await asyncio.to_thread(decompress, raw, encoding, SizeLimit(max_size, max_size)), is_cut)
    except (MalformedBody, TooLarge):
        return ToolBody(raw[:_MAX_UNREADABLE], is_cut)


async def _read_into(receive: Receive, kept: "_HeadAndTail") -> bool:
    """Read the stream to its end; return False if it breaks off."""
    while True:
        message = await receive()
        kept.add(message.get("body", b""))
        if message["type"] != "http.request":
            return False
        if not message.get("more_body", False):
            return True


class _HeadAndTail:
    """Keep the first third and the last two thirds of a stream, at most `max_size` bytes; up to twice as many are held at a time."""

    def __init__(self, max_size: int) -> None:
        self._head, self._tail = bytearray(), bytearray()
        self._max_head, self._max_tail = max_size // 3, max_size - max_size // 3

    def add(self, chunk: bytes) -> None:
        room = self._max_head - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        if len(self._tail) > 2 * self._max_tail:
            del self._tail[: -self._max_tail]

    def joined(self) -> bytes:
        return bytes(self._head + self._tail[-self._max_tail :])


async def _collect(receive: Receive, max_size: int, limit: SizeLimit | None, chunks: list[bytes]) -> None:
    """Add the chunks of a body, so that they are there if it breaks off. Raises MalformedBody then, and TooLarge."""
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise MalformedBody("the connection ended before the body did", code="body_cut")
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        chunks.append(chunk)
        if size > max_size:
            raise TooLarge(f"the body is larger than {max_size} bytes")
        if limit is not None:
            limit.count(chunk)
        if not message.get("more_body", False):
            return


@lru_cache(64)
def _parse_content_type(content_type: str) -> BodyFormat:
    name, _, parameters = content_type.partition(";")
    body_format = _FORMATS.get(name.strip().lower())
    if body_format is None:
        raise WrongType(
            f"send application/json or application/x-ndjson, not {name.strip()[:100]!r}", field="Content-Type"
        )
    charset = parameters.lower().replace('"', "").replace(" ", "").partition("charset=")[2].partition(";")[0]
    if charset not in ("", "utf-8", "utf8", "us-ascii"):
        raise WrongType(f"send UTF-8, not {charset[:40]!r}", field="Content-Type")
    return body_format


@lru_cache(64)
def _parse_encoding(content_encoding: str) -> str:
    encoding = _ENCODINGS.get(content_encoding.strip().lower())
    if encoding is None:
        raise WrongType(
            f"compress with gzip or zstd, not {content_encoding[:100]!r}",
            code="wrong_encoding",
            field="Content-Encoding",
        )
    return encoding


async def run_within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`. Raises TimeoutError after `seconds`, and `work` is cancelled.

    A timer is set only if `work` has to wait: most bodies have arrived when they are read, and a timer for each would be slow.
    """
    try:
        waits_for = work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    async with asyncio.timeout(seconds):
        return await _resume(work, waits_for)


@types.coroutine
def _resume(work: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:  # noqa: ANN401  (private to the event loop)
    """Continue a coroutine that has started: pass on to it whatever the event loop sends or throws."""
    step: Callable[[], Any]
    while True:
        try:
            sent = yield waits_for
        except BaseException as thrown:  # noqa: BLE001  (passed on, not caught)
            step = partial(work.throw, thrown)
        else:
            step = partial(work.send, sent)
        try:
            waits_for = step()
        except StopIteration as done:
            result: T = done.value
            return result
