"""Packed bodies are decompress within their bound, and what is broken is refused at once."""

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
PACK = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}


def bound(most: int = 16 * MIB) -> SizeLimit:
    return SizeLimit(most, most)


@pytest.mark.parametrize("encoding", PACK)
@given(data=st.binary(max_size=5000), times=st.integers(1, 40))
def test_what_was_packed_comes_out(encoding: str, data: bytes, times: int):
    assert decompress(PACK[encoding](data * times), encoding, bound()) == data * times


@pytest.mark.parametrize("encoding", PACK)
def test_many_members_in_one_body(encoding: str):
    packed = b"".join(PACK[encoding](part) for part in (b"[1,", b"", b"2]" * 100_000))
    assert decompress(packed, encoding, bound()) == b"[1," + b"2]" * 100_000


@pytest.mark.parametrize("encoding", PACK)
def test_a_large_body_that_hardly_packs(encoding: str):
    data = random.Random(1).randbytes(3 * MIB)
    assert decompress(PACK[encoding](data), encoding, bound()) == data


@pytest.mark.parametrize("encoding", PACK)
def test_a_bomb_stops_at_the_bound(encoding: str):
    bomb = PACK[encoding](b"\0" * (512 * MIB))
    assert len(bomb) < MIB
    with pytest.raises(TooLarge):
        decompress(bomb, encoding, bound(MIB))


@pytest.mark.parametrize("encoding", PACK)
@given(data=st.binary(min_size=1, max_size=300), cut=st.integers(1, 400))
def test_a_body_cut_short_is_refused(encoding: str, data: bytes, cut: int):
    packed = PACK[encoding](data)
    with pytest.raises(MalformedBody):
        decompress(packed[: max(0, len(packed) - cut)], encoding, bound())


@pytest.mark.parametrize("encoding", PACK)
@given(garbage=st.binary(min_size=1, max_size=300))
def test_garbage_is_refused_and_nothing_worse(encoding: str, garbage: bytes):
    with pytest.raises((MalformedBody, TooLarge)):
        decompress(PACK[encoding](b"x") + garbage, encoding, bound(MIB))


def test_a_swarm_of_empty_members_is_refused():
    with pytest.raises(MalformedBody):
        decompress(gzip.compress(b"") * 2000, "gzip", bound())
    with pytest.raises(MalformedBody):
        decompress(zstandard.ZstdCompressor().compress(b"") * 2000, "zstd", bound())


def test_a_window_larger_than_http_allows_is_refused():
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(b"x" * MIB) + packer.flush()
    with pytest.raises(MalformedBody):
        decompress(packed, "zstd", bound())


def test_a_plain_deflate_stream_is_not_gzip():
    with pytest.raises(MalformedBody):
        decompress(zlib.compress(b"{}"), "gzip", bound())


def test_one_event_has_a_smaller_bound_than_an_array():
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
