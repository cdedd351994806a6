"""Decompress gzip, deflate and zstd. The size limit is checked while decompressing: a body of a few KiB must not fill the memory."""

import zlib
from collections.abc import Iterator

import zstandard

from app.core.errors import MalformedBody, TooLarge

_CHUNK_SIZE = 64 * 1024
_MAX_MEMBERS = 1_000  # empty gzip members and zstd frames cost time and yield nothing
_MAX_WINDOW = 8 * 1024 * 1024  # RFC 8878, 3.1.1.1.2, and RFC 9659 for HTTP
# A zstd block of 4 bytes can expand to 128 KiB, and the library expands all its input at once, so the input is fed in small slices.
_ZSTD_SLICE = 256


class SizeLimit:
    """Count decompressed bytes. A body that is one event may have `single` bytes, an array `many`.

    The first byte that is not white space tells which of the two the body is.
    """

    def __init__(self, single: int, many: int) -> None:
        self._many = many
        self._limit = single
        self._size = 0
        self._is_decided = False

    def count(self, chunk: bytes) -> None:
        """Add the length of a chunk. Raises TooLarge."""
        if not self._is_decided and (start := chunk.lstrip(b"\xef\xbb\xbf \t\r\n")):
            self._is_decided = True
            if start[:1] == b"[":
                self._limit = self._many
        self._size += len(chunk)
        if self._size > self._limit:
            raise TooLarge(f"the body is larger than {self._limit} bytes")


def decompress(compressed: bytes, encoding: str, limit: SizeLimit) -> bytes:
    """Return the decompressed bytes; `encoding` is `gzip`, `deflate` or `zstd`. Raises TooLarge, MalformedBody."""
    chunks = []
    try:
        for chunk in _DECOMPRESSORS[encoding](compressed):
            limit.count(chunk)
            chunks.append(chunk)
    except (zlib.error, zstandard.ZstdError) as cause:
        raise MalformedBody(f"the body is not {encoding}", code="malformed_packing") from cause
    return b"".join(chunks)


def _inflate(compressed: bytes) -> Iterator[bytes]:
    """Decompress `deflate`: zlib's format (RFC 9110, 8.4.1.2), or the raw stream without zlib's header, which some senders use."""
    has_header = (
        len(compressed) > 1
        and compressed[0] & 0x0F == zlib.DEFLATED
        and (compressed[0] * 256 + compressed[1]) % 31 == 0
    )
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
    while not stream.eof:
        chunk = stream.decompress(compressed, _CHUNK_SIZE)
        compressed = stream.unconsumed_tail
        yield chunk
        if not chunk and not compressed and not stream.eof:
            raise _truncated()


def _gunzip(compressed: bytes) -> Iterator[bytes]:
    for _ in range(_MAX_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            chunk = member.decompress(compressed, _CHUNK_SIZE)
            compressed = member.unconsumed_tail
            yield chunk
            if not chunk and not compressed and not member.eof:
                raise _truncated()
        compressed = member.unused_data
        if not compressed:
            return
    raise _too_many_members()


def _unzstd(compressed: bytes) -> Iterator[bytes]:
    position = 0
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
    for _ in range(_MAX_MEMBERS):
        frame = decompressor.decompressobj()
        while not frame.eof:
            if position >= len(compressed):
                raise _truncated()
            yield frame.decompress(compressed[position : position + _ZSTD_SLICE])
            position = min(position + _ZSTD_SLICE, len(compressed))
        position -= len(frame.unused_data)
        if position >= len(compressed):
            return
    raise _too_many_members()


def _truncated() -> MalformedBody:
    return MalformedBody("the compressed body ends too early", code="malformed_packing")


def _too_many_members() -> MalformedBody:
    return MalformedBody(f"the compressed body has more than {_MAX_MEMBERS} parts", code="malformed_packing")


_DECOMPRESSORS = {"gzip": _gunzip, "deflate": _inflate, "zstd": _unzstd}
