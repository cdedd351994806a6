"""From bytes to events: which are accepted, which are rejected, and that a bad one does not cost the others."""

import contextlib
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import MalformedBody, TooLarge
from app.intake.body import BodyFormat, RequestBody
from app.intake.parse import ParsedBody, parse_events
from app.intake.validate import Sender
from app.intake.validated_body import BodyLimits, validate_body

GOOD = {"agent": "sql01", "job": "nightly"}


def parsed(
    data: bytes, body_format: BodyFormat = BodyFormat.JSON, *, single: bool = False, most: int = 100
) -> ParsedBody:
    return parse_events(RequestBody(data, body_format, single), max_events=most, max_event_size=1000)


def lines(*items: Any) -> bytes:
    return b"\n".join(item if isinstance(item, bytes) else json.dumps(item).encode() for item in items)


def rejections(body: ParsedBody) -> list[tuple[int, str]]:
    return [(one.index, one.code) for one in body.rejected]


def test_a_body_may_be_one_event_an_array_or_lines():
    assert parsed(json.dumps(GOOD).encode(), single=True).events == [(0, GOOD)]
    assert parsed(json.dumps([GOOD, GOOD]).encode()).events == [(0, GOOD), (1, GOOD)]
    assert parsed(b"\r\n" + lines(GOOD, b"", b"  ", GOOD) + b"\r\n", BodyFormat.LINES).events == [(0, GOOD), (1, GOOD)]
    assert parsed(b"[]").events == parsed(b"\n", BodyFormat.LINES).events == []


@pytest.mark.parametrize("data", [b"", b"  ", b"{", b"nonsense", b'{"a":1}x', b"[" * 100_000, b"\xff\xfe{\0}\0"])
def test_a_body_that_is_not_json_is_refused(data: bytes):
    with pytest.raises(MalformedBody):
        parsed(data, single=True)


@pytest.mark.parametrize("bad", [5, None, [], 10**50])
def test_what_is_no_object_does_not_cost_the_good_ones(bad: Any):
    for body in (parsed(lines(GOOD, bad, GOOD), BodyFormat.LINES), parsed(json.dumps([GOOD, bad, GOOD]).encode())):
        assert (body.events, rejections(body)) == ([(0, GOOD), (2, GOOD)], [(1, "not_an_object")])


BAD: list[tuple[dict[str, Any], dict[str, Any], Any]] = [
    ({"job": ["a"]}, {}, {"job": ["a"]}),
    ({"job": True}, {}, {"job": True}),
    ({"metrics": {"a": "many", "b": 2}}, {"metrics": {"b": 2}}, {"metrics": {"a": "many"}}),
    ({"metrics": {"a": None, "b": 2}}, {"metrics": {"b": 2}}, {"metrics": {"a": None}}),
    ({"metrics": [1]}, {}, {"metrics": [1]}),
    ({"labels": {"a": {}, "b": "x"}}, {"labels": {"b": "x"}}, {"labels": {"a": {}}}),
    ({"labels": {"a": None, "b": None}}, {"labels": {}}, {"labels": {"a": None, "b": None}}),
    ({"metrics": {"a": float("inf")}}, {"metrics": {}}, {"metrics": {"a": float("inf")}}),
    ({"metrics": {"a": 10**400}}, {"metrics": {}}, {"metrics": {"a": float("inf")}}),
    ({"message": {"text": "x"}}, {}, {"message": {"text": "x"}}),
    ({"outcome": True}, {}, {"outcome": True}),
]


@pytest.mark.parametrize(("bad", "kept", "unused"), BAD)
def test_a_field_that_cannot_be_used_costs_neither_its_event_nor_the_others(bad: Any, kept: Any, unused: Any):
    event = {"outcome": "failure", **bad}
    rest = {name: value for name, value in {"outcome": "failure", **kept}.items() if name not in unused or name in kept}
    for body in (parsed(lines(GOOD, event, GOOD), BodyFormat.LINES), parsed(json.dumps([GOOD, event, GOOD]).encode())):
        assert (body.events, rejections(body)) == (
            [(0, GOOD), (1, {**rest, "extra": {"unused": unused}}), (2, GOOD)],
            [],
        )
        assert body.flags == {1: [f"{field}_ignored" for field in unused]}


def test_a_number_with_thousands_of_digits_costs_only_itself():
    body = parsed(b'{"outcome":"failure","metrics":{"a":' + b"9" * 5000 + b',"b":2}}', single=True)
    [(_, event)] = body.events
    assert (event["outcome"], event["metrics"], body.flags) == ("failure", {"b": 2}, {0: ["metrics_ignored"]})


def test_only_the_line_that_is_not_json_is_rejected():
    body = parsed(lines(GOOD, b"{", b'{"a":1},{"a":2}', GOOD, b'{"long":"' + b"x" * 1000 + b'"}'), BodyFormat.LINES)
    assert body.events == [(0, GOOD), (3, GOOD)]
    assert rejections(body) == [(1, "malformed_body"), (2, "malformed_body"), (4, "too_large")]


def test_numbers_are_accepted_as_names_and_labels():
    body = parsed(b'{"run":17,"labels":{"tape":4},"metrics":{"a":"1.5"}}', single=True)
    assert body.events == [(0, {"run": "17", "labels": {"tape": "4"}, "metrics": {"a": 1.5}})]


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
def test_characters_that_no_database_stores_are_replaced_and_flagged(data: bytes, message: str):
    for body in (parsed(data, single=True), parsed(data, BodyFormat.LINES), parsed(b"[" + data + b"]")):
        assert (body.events, body.flags) == ([(0, {"message": message})], {0: ["text_replaced"]})


@pytest.mark.parametrize(
    ("data", "message"),
    [(rb'{"message":"\\u0000"}', "\\u0000"), (rb'{"message":"\ud83d\ude00"}', "😀"), (b'{"message":"a\tb"}', "a\tb")],
)
def test_text_that_only_resembles_such_characters_is_unchanged(data: bytes, message: str):
    body = parsed(data, single=True)
    assert (body.events, body.flags) == ([(0, {"message": message})], {})


def test_too_many_events_are_refused():
    for data, body_format in (
        (b"[{},{},{}]", BodyFormat.JSON),
        (b"{}\n{}\n{}", BodyFormat.LINES),
        (rb'[{},{},{"a":"\u0000"}]', BodyFormat.JSON),
    ):
        with pytest.raises(TooLarge) as refused:
            parsed(data, body_format, most=2)
        assert refused.value.code == "too_many_events"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@given(st.lists(st.just(GOOD) | values, max_size=8))
def test_every_event_is_either_accepted_or_rejected(items: list[Any]):
    for body in (parsed(json.dumps(items).encode()), parsed(lines(*items), BodyFormat.LINES)):
        places = sorted([index for index, _ in body.events] + [one.index for one in body.rejected])
        assert places == list(range(len(items)))
        assert all(index in dict(body.events) for index, item in enumerate(items) if item == GOOD)


@given(st.binary(max_size=200), st.sampled_from(BodyFormat))
def test_any_bytes_are_parsed_or_refused(data: bytes, body_format: BodyFormat):
    with contextlib.suppress(MalformedBody, TooLarge):
        parsed(data, body_format)


BOMBS = [
    b"[" + b"[]," * 500_001 + b"[]]",
    b'[{"extra":[' + b"{}," * 500_001 + b"{}]}]",
    b"[" + b"1," * 4_000_001 + b"1]",
]


@pytest.mark.parametrize("bomb", BOMBS, ids=["arrays", "objects", "values"])
@pytest.mark.parametrize("body_format", list(BodyFormat))
def test_a_body_of_millions_of_values_is_refused_before_parsing(bomb: bytes, body_format: BodyFormat):
    started = time.process_time()
    with pytest.raises(TooLarge) as refused:
        parsed(bomb, body_format)
    assert "send it in parts" in refused.value.detail
    assert time.process_time() - started < 0.5, "about 2 s when it was read"


def test_a_body_within_the_limits_is_parsed():
    assert len(parsed(json.dumps([GOOD | {"log": "[{,"}] * 100).encode()).events) == 100
    assert len(parsed(b'{"extra":"' + b"[" * 499_999 + b'"}', single=True).events) == 1


def test_an_event_in_an_array_has_the_size_limit_of_a_single_event():
    large = GOOD | {"log": "x" * 1000}
    for odd in ({}, {"message": "\0"}, {"job": []}):
        body = parsed(json.dumps([GOOD, large, GOOD | odd]).encode())
        assert (1, "too_large") in rejections(body)
        assert (0, GOOD) in body.events


@pytest.mark.parametrize("field", ["metrics", "labels"])
def test_a_field_with_far_too_many_values_is_left_out_unread(field: str):
    bad = {field: {str(n): [] for n in range(1001)}}
    body = parse_events(
        RequestBody(json.dumps([GOOD, bad]).encode(), BodyFormat.JSON, is_single=False),
        max_events=9,
        max_event_size=10**6,
    )
    assert [event.get(field) for _, event in body.events] == [None, None]
    assert (rejections(body), body.flags) == ([], {1: [f"{field}_ignored"]})


@pytest.mark.parametrize("body_format", list(BodyFormat))
@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (b'{"job":"j","outcome":"failure","outcome":"success"}', "failure"),
        (b'{"job":"j","outcome":"success","outcome":"failure"}', "failure"),
        (b'{"job":"j","outcome":"success","outcome":"unclear"}', "unclear"),
        (b'{"job":"j","outcome":"success","outcome":null}', "unclear"),
        (b'{"job":"j","severity":"error","severity":"info"}', "unclear"),
        (b'{"job":"j","outcome":"failure","\\u006futcome":"success"}', "failure"),
        (b'{"job":"j","\\u006Futcome":"failure","outc\\u006Fme":"success"}', "failure"),
        (b'{"job":"j","severity":"error","sever\\u0069t\\u0079":"info"}', "unclear"),
        (b'{"job":"j","\\u006futcome":"success"}', "success"),
        (b'{"job":"j","outcome":"success","outcome":"success"}', "success"),
        (b'{"job":"j","outcome":"success","extra":{"outcome":"failure"}}', "success"),
        (b'{"job":"j","outcome":"success","message":"\\"outcome\\":\\"failure\\""}', "success"),
    ],
)
def test_an_event_that_states_its_outcome_twice_is_no_success_unless_both_are(
    event: bytes, outcome: str, body_format: BodyFormat
):
    good = b'{"job":"other","outcome":"success"}'
    whole = b"\n".join([good, event]) if body_format is BodyFormat.LINES else b"[%s,%s]" % (good, event)
    for data, single in [(whole, False), *([(event, True)] if body_format is BodyFormat.JSON else [])]:
        sender, limits = Sender("cus", "agt", "sql01"), BodyLimits(10, 10_000, 10_000)
        events = validate_body(RequestBody(data, body_format, single), sender, datetime.now(UTC), limits, ()).events
        assert [one.outcome for one in events] == [*([] if single else ["success"]), outcome]
