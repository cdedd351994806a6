"""Compressed bodies are decompressed within a size limit, and broken ones are refused at once."""

import gzip
import random
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import MalformedBody, TooLarge
from app.intake.decompress import SizeLimit, decompress

MIB = 1024 * 1024
COMPRESS = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}


def limit(most: int = 16 * MIB) -> SizeLimit:
    return SizeLimit(most, most)


@pytest.mark.parametrize("encoding", COMPRESS)
@given(data=st.binary(max_size=5000), times=st.integers(1, 40))
def test_compressed_data_is_restored(encoding: str, data: bytes, times: int):
    assert decompress(COMPRESS[encoding](data * times), encoding, limit()) == data * times


@pytest.mark.parametrize("encoding", COMPRESS)
def test_many_members_in_one_body(encoding: str):
    compressed = b"".join(COMPRESS[encoding](part) for part in (b"[1,", b"", b"2]" * 100_000))
    assert decompress(compressed, encoding, limit()) == b"[1," + b"2]" * 100_000


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_large_body_that_hardly_compresses(encoding: str):
    data = random.Random(1).randbytes(3 * MIB)
    assert decompress(COMPRESS[encoding](data), encoding, limit()) == data


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_decompression_bomb_stops_at_the_limit(encoding: str):
    bomb = COMPRESS[encoding](b"\0" * (512 * MIB))
    assert len(bomb) < MIB
    with pytest.raises(TooLarge):
        decompress(bomb, encoding, limit(MIB))


@pytest.mark.parametrize("encoding", COMPRESS)
@given(data=st.binary(min_size=1, max_size=300), cut=st.integers(1, 400))
def test_a_truncated_body_is_refused(encoding: str, data: bytes, cut: int):
    compressed = COMPRESS[encoding](data)
    with pytest.raises(MalformedBody):
        decompress(compressed[: max(0, len(compressed) - cut)], encoding, limit())


@pytest.mark.parametrize("encoding", COMPRESS)
@given(garbage=st.binary(min_size=1, max_size=300))
def test_garbage_is_refused_as_malformed(encoding: str, garbage: bytes):
    with pytest.raises((MalformedBody, TooLarge)):
        decompress(COMPRESS[encoding](b"x") + garbage, encoding, limit(MIB))


def test_too_many_empty_members_are_refused():
    with pytest.raises(MalformedBody):
        decompress(gzip.compress(b"") * 2000, "gzip", limit())
    with pytest.raises(MalformedBody):
        decompress(zstandard.ZstdCompressor().compress(b"") * 2000, "zstd", limit())


def test_a_window_larger_than_http_allows_is_refused():
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    compressed = compressor.compress(b"x" * MIB) + compressor.flush()
    with pytest.raises(MalformedBody):
        decompress(compressed, "zstd", limit())


def test_a_raw_deflate_stream_is_not_gzip():
    with pytest.raises(MalformedBody):
        decompress(zlib.compress(b"{}"), "gzip", limit())


def test_one_event_has_a_smaller_limit_than_an_array():
    one, many = b' {"a":"' + b"x" * 2000, b' \n[{"a":"' + b"x" * 2000
    SizeLimit(1000, 5000).count(many)
    with pytest.raises(TooLarge):
        SizeLimit(1000, 5000).count(one)
    later = SizeLimit(1000, 5000)
    later.count(b"  ")
    later.count(b"[")
    later.count(b"x" * 4000)
    with pytest.raises(TooLarge):
        later.count(b"x" * 1000)
