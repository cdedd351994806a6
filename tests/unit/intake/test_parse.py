"""From bytes to events: what is read, what is refused, and that neither costs the other."""

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import MalformedBody, TooLarge
from app.intake.body import BodyFormat, RequestBody
from app.intake.parse import ParsedBody, parse_events

GOOD = {"agent": "sql01", "job": "nightly"}


def parsed(data: bytes, form: BodyFormat = BodyFormat.JSON, *, single: bool = False, most: int = 100) -> ParsedBody:
    return parse_events(RequestBody(data, form, single), max_events=most, max_event_size=1000)


def lines(*items: Any) -> bytes:
    return b"\n".join(item if isinstance(item, bytes) else json.dumps(item).encode() for item in items)


def told(found: ParsedBody) -> list[tuple[int, str]]:
    return [(one.index, one.code) for one in found.rejected]


def test_one_event_an_array_and_lines():
    assert parsed(json.dumps(GOOD).encode(), single=True).events == [(0, GOOD)]
    assert parsed(json.dumps([GOOD, GOOD]).encode()).events == [(0, GOOD), (1, GOOD)]
    assert parsed(b"\r\n" + lines(GOOD, b"", b"  ", GOOD) + b"\r\n", BodyFormat.LINES).events == [(0, GOOD), (1, GOOD)]
    assert parsed(b"[]").events == parsed(b"\n", BodyFormat.LINES).events == []


@pytest.mark.parametrize(
    "data", [b"", b"  ", b"{", b"nonsense", b'{"a":1}x', b"[" * 100_000, b"\xff\xfe{\0}\0", b"9" * 5000]
)
def test_what_is_no_json_is_refused(data: bytes):
    with pytest.raises(MalformedBody):
        parsed(data, single=True)


BAD: list[tuple[Any, str]] = [
    (5, "not_an_object"),
    (None, "not_an_object"),
    ([], "not_an_object"),
    ({"job": ["a"]}, "wrong_kind"),
    ({"job": True}, "wrong_kind"),
    ({"metrics": {"a": "many"}}, "wrong_kind"),
    ({"metrics": {"a": None}}, "wrong_kind"),
    ({"metrics": [1]}, "wrong_kind"),
    ({"labels": {"a": {}}}, "wrong_kind"),
    ({"metrics": {"a": float("inf")}}, "not_finite"),
    ({"metrics": {"a": 10**400}}, "wrong_kind"),
]


@pytest.mark.parametrize(("bad", "code"), BAD)
def test_a_bad_one_costs_no_good_one(bad: Any, code: str):
    for found in (parsed(lines(GOOD, bad, GOOD), BodyFormat.LINES), parsed(json.dumps([GOOD, bad, GOOD]).encode())):
        assert (found.events, told(found)) == ([(0, GOOD), (2, GOOD)], [(1, code)])


def test_a_line_that_is_no_json_costs_only_itself():
    found = parsed(lines(GOOD, b"{", b'{"a":1},{"a":2}', GOOD, b'{"long":"' + b"x" * 1000 + b'"}'), BodyFormat.LINES)
    assert found.events == [(0, GOOD), (3, GOOD)]
    assert told(found) == [(1, "malformed_body"), (2, "malformed_body"), (4, "too_large")]


def test_numbers_serve_as_names_and_labels():
    found = parsed(b'{"run":17,"labels":{"tape":4},"metrics":{"a":"1.5"}}', single=True)
    assert found.events == [(0, {"run": "17", "labels": {"tape": "4"}, "metrics": {"a": 1.5}})]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (rb'{"message":"a\u0000b"}', "a�b"),
        (rb'{"message":"a\ud800b"}', "a�b"),
        (rb'{"message":"\udc00\ud83d\ude00"}', "�😀"),
        (b'{"message":"a\x00b"}', "a�b"),
        (b'{"message":"caf\xe9"}', "caf�"),
        (b'{"message":"\xed\xa0\x80"}', "���"),
    ],
)
def test_what_no_database_takes_is_replaced_and_flagged(data: bytes, message: str):
    for found in (parsed(data, single=True), parsed(data, BodyFormat.LINES), parsed(b"[" + data + b"]")):
        assert (found.events, found.replaced) == ([(0, {"message": message})], {0})


@pytest.mark.parametrize(
    ("data", "message"),
    [(rb'{"message":"\\u0000"}', "\\u0000"), (rb'{"message":"\ud83d\ude00"}', "😀"), (b'{"message":"a\tb"}', "a\tb")],
)
def test_what_only_looks_like_it_is_left_alone(data: bytes, message: str):
    found = parsed(data, single=True)
    assert (found.events, found.replaced) == ([(0, {"message": message})], set())


def test_too_many_events_are_refused():
    for data, form in (
        (b"[{},{},{}]", BodyFormat.JSON),
        (b"{}\n{}\n{}", BodyFormat.LINES),
        (rb'[{},{},{"a":"\u0000"}]', BodyFormat.JSON),
    ):
        with pytest.raises(TooLarge) as refused:
            parsed(data, form, most=2)
        assert refused.value.code == "too_many_events"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@given(st.lists(st.just(GOOD) | values, max_size=8))
def test_every_event_is_taken_or_told_of(items: list[Any]):
    for found in (parsed(json.dumps(items).encode()), parsed(lines(*items), BodyFormat.LINES)):
        places = sorted([index for index, _ in found.events] + [one.index for one in found.rejected])
        assert places == list(range(len(items)))
        assert all(index in dict(found.events) for index, item in enumerate(items) if item == GOOD)


@given(st.binary(max_size=200), st.sampled_from(BodyFormat))
def test_any_bytes_are_read_or_refused(data: bytes, form: BodyFormat):
    with contextlib.suppress(MalformedBody, TooLarge):
        parsed(data, form)


BOMBS = [
    b"[" + b"[]," * 500_001 + b"[]]",
    b'[{"extra":[' + b"{}," * 500_001 + b"{}]}]",
    b"[" + b"1," * 4_000_001 + b"1]",
]


@pytest.mark.parametrize("bomb", BOMBS, ids=["arrays", "objects", "values"])
@pytest.mark.parametrize("form", list(BodyFormat))
def test_a_body_of_millions_of_parts_is_refused_unread(bomb: bytes, form: BodyFormat):
    started = time.perf_counter()
    with pytest.raises(TooLarge) as refused:
        parsed(bomb, form)
    assert "send it in parts" in refused.value.detail
    assert time.perf_counter() - started < 0.5, "about 2 s when it was read"


def test_a_body_below_the_bounds_is_read():
    assert len(parsed(json.dumps([GOOD | {"log": "[{,"}] * 100).encode()).events) == 100
    assert len(parsed(b'{"extra":"' + b"[" * 499_999 + b'"}', single=True).events) == 1


def test_an_event_of_an_array_may_be_no_larger_than_one_alone():
    large = GOOD | {"log": "x" * 1000}
    for odd in ({}, {"message": "\0"}, {"job": []}):
        found = parsed(json.dumps([GOOD, large, GOOD | odd]).encode())
        assert (1, "too_large") in told(found)
        assert (0, GOOD) in found.events


@pytest.mark.parametrize("field", ["metrics", "labels"])
def test_a_field_of_far_too_many_values_is_one_fault(field: str):
    bad = {field: {str(n): [] for n in range(1001)}}
    found = parse_events(
        RequestBody(json.dumps([GOOD, bad]).encode(), BodyFormat.JSON, is_single=False),
        max_events=9,
        max_event_size=10**6,
    )
    assert ([event for _, event in found.events], told(found)) == ([GOOD], [(1, "too_many")])
