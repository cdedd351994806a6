"""Unpacks gzip and zstd within a bound that holds while unpacking: a bomb of a few KiB must not fill the memory."""

import zlib
from collections.abc import Iterator

import zstandard

from app.core.errors import MalformedBody, TooLarge

_PIECE = 64 * 1024
_MEMBERS_MOST = 1_000  # empty gzip members and zstd frames cost time and give nothing
_WINDOW_MOST = 8 * 1024 * 1024  # RFC 8878, 3.1.1.1.2, and RFC 9659 for HTTP
# A zstd block of 4 bytes may stand for 128 KiB, and the library unpacks all of what it is given: so it is given little.
_ZSTD_SLICE = 256


class Bound:
    """Counts unpacked bytes. One event may be `single` long, an array `many`: the first byte that is no space tells which."""

    def __init__(self, single: int, many: int) -> None:
        self._many = many
        self._most = single
        self._size = 0
        self._told = False

    def take(self, piece: bytes) -> None:
        """Count a piece. Raises TooLarge."""
        if not self._told and (start := piece.lstrip(b"\xef\xbb\xbf \t\r\n")):
            self._told = True
            if start[:1] == b"[":
                self._most = self._many
        self._size += len(piece)
        if self._size > self._most:
            raise TooLarge(f"the body is larger than {self._most} bytes")


def unpacked(packed: bytes, encoding: str, bound: Bound) -> bytes:
    """Give the bytes that were packed with `gzip`, `deflate` or `zstd`. Raises TooLarge, MalformedBody."""
    pieces = []
    try:
        for piece in _PIECES[encoding](packed):
            bound.take(piece)
            pieces.append(piece)
    except (zlib.error, zstandard.ZstdError) as cause:
        raise MalformedBody(f"the body is not {encoding}", code="malformed_packing") from cause
    return b"".join(pieces)


def _inflate(packed: bytes) -> Iterator[bytes]:
    """Unpack `deflate`, which is zlib's format (RFC 9110, 8.4.1.2), and what some senders take for it: the bare stream within."""
    has_head = len(packed) > 1 and packed[0] & 0x0F == zlib.DEFLATED and (packed[0] * 256 + packed[1]) % 31 == 0
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS if has_head else -zlib.MAX_WBITS)
    while not stream.eof:
        piece = stream.decompress(packed, _PIECE)
        packed = stream.unconsumed_tail
        yield piece
        if not piece and not packed and not stream.eof:
            raise _cut_short()


def _gunzip(packed: bytes) -> Iterator[bytes]:
    for _ in range(_MEMBERS_MOST):
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            piece = member.decompress(packed, _PIECE)
            packed = member.unconsumed_tail
            yield piece
            if not piece and not packed and not member.eof:
                raise _cut_short()
        packed = member.unused_data
        if not packed:
            return
    raise _too_many()


def _unzstd(packed: bytes) -> Iterator[bytes]:
    place = 0
    unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW_MOST)
    for _ in range(_MEMBERS_MOST):
        frame = unpacker.decompressobj()
        while not frame.eof:
            if place >= len(packed):
                raise _cut_short()
            yield frame.decompress(packed[place : place + _ZSTD_SLICE])
            place = min(place + _ZSTD_SLICE, len(packed))
        place -= len(frame.unused_data)
        if place >= len(packed):
            return
    raise _too_many()


def _cut_short() -> MalformedBody:
    return MalformedBody("the packed body is cut short", code="malformed_packing")


def _too_many() -> MalformedBody:
    return MalformedBody(f"the packed body has more than {_MEMBERS_MOST} parts", code="malformed_packing")


_PIECES = {"gzip": _gunzip, "deflate": _inflate, "zstd": _unzstd}
