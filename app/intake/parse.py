"""Parse a body's bytes into events and check the JSON types of each. A bad event never costs the good ones.

The number of values in a body is limited as well as its length: a few KiB can decompress to millions of values, each an object in
memory.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import ConfigDict, FailFast, Field, FiniteFloat, JsonValue, TypeAdapter, ValidationError, with_config
from pydantic_core import to_json
from typing_extensions import TypedDict

from app.core.errors import MalformedBody, TooLarge
from app.intake.body import BodyFormat, RequestBody
from app.intake.sanitize import replace_unstorable
from programs.protocol import report as protocol

# Far more than 10 000 events with labels and metrics need; parsing that many takes about 0.3 s, during which other requests wait.
MAX_OPENING_BRACKETS = 500_000
MAX_COMMAS = 4_000_000
MAX_NESTED_VALUES = 1000  # above this, metrics or labels are left out unread; fields.py has the limits for senders
_MAX_DEPTH = 800
_MAX_DIGITS = 400  # of a whole number; Python refuses more than 4300, and no float has more than 309
_UNUSED = "unused"  # in `extra`: the values of fields that could not be used


EVENT_EXAMPLE: dict[str, JsonValue] = {
    "key": "sql01/nightly-sql/2026-01-31",
    "agent": "sql01",
    "job": "nightly-sql",
    "phase": "finished",
    "outcome": "failure",
    "occurred_at": "2026-01-31T02:10:00+01:00",
    "message": "repository is locked",
    "metrics": {"bytes_processed": 1048576, "duration_s": 12.5},
    "labels": {"site": "berlin"},
}
# Limits are in the schema only: intake/fields.py shortens a value beyond its limit, or refuses it with a code of its own.
_Name = Annotated[str, Field(json_schema_extra={"maxLength": protocol.NAME_MOST})]


@with_config(
    ConfigDict(
        title="EventIn", extra="allow", coerce_numbers_to_str=True, json_schema_extra={"examples": [EVENT_EXAMPLE]}
    )
)
class WireEvent(TypedDict, total=False):
    """An event as an agent reports it. A field that is not named here is kept in `extra`."""

    # Only the types are checked here, in one call for a whole body.
    key: Annotated[
        _Name | None,
        Field(
            description="Unique for each event of an agent: an event that is sent again under the same key counts once. "
            "Without a key, the content is the key. A key must not begin with `tocsin:`."
        ),
    ]
    agent: Annotated[
        _Name | None,
        Field(description="Who reports. Needed with an enrolment key, which creates agents that are unknown."),
    ]
    job: Annotated[_Name | None, Field(description="What was backed up.")]
    run: Annotated[_Name | None, Field(description="Which execution of the job; it connects the events of one run.")]
    activity: Annotated[
        Annotated[str, Field(json_schema_extra={"enum": list(protocol.ACTIVITIES)})] | None,
        Field(description="What was done; `backup` by default."),
    ]
    phase: Annotated[
        Annotated[str, Field(json_schema_extra={"enum": list(protocol.PHASES)})] | None,
        Field(description="Which part of its run the event reports; a plain message has none."),
    ]
    outcome: Annotated[
        Annotated[str, Field(json_schema_extra={"enum": list(protocol.OUTCOMES)})] | None,
        Field(description="How the run ended."),
    ]
    severity: Annotated[
        Annotated[str, Field(json_schema_extra={"enum": list(protocol.SEVERITIES)})] | None,
        Field(description="How severe it is; by default it follows from the outcome."),
    ]
    occurred_at: Annotated[
        Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None,
        Field(description="When it happened, with an offset from UTC; by default when we receive it."),
    ]
    sent_at: Annotated[
        Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None,
        Field(
            description="The time by the sender's clock at which this request is sent. If that clock is wrong, `occurred_at` is corrected by "
            "the difference. It also shows whether an old time is that of a late report or of a wrong clock."
        ),
    ]
    message: Annotated[str | None, Field(description="One line for people; cut at 4 KiB.")]
    log: Annotated[str | None, Field(description="Long text; if it is longer than 64 KiB, its middle is left out.")]
    metrics: Annotated[
        Annotated[dict[str, FiniteFloat], Field(json_schema_extra={"maxProperties": protocol.METRICS_MOST})] | None,
        Field(
            description="`bytes_processed`, `bytes_stored`, `files_processed`, `files_failed`, `duration_s`, and any other number."
        ),
    ]
    labels: Annotated[
        Annotated[
            dict[str, Annotated[str, Field(json_schema_extra={"maxLength": protocol.LABEL_VALUE_MOST})]],
            Field(json_schema_extra={"maxProperties": protocol.LABELS_MOST}),
        ]
        | None,
        Field(description="Names and values that routes, rules and silences can match."),
    ]
    extra: Annotated[
        Any,
        Field(description="Anything else, kept up to 16 KiB and never judged; fields not named here are added to it."),
    ]


@dataclass(frozen=True, slots=True)
class EventRejection:
    """Why one event of a body was not accepted. `index` counts from 0, without blank lines."""

    index: int
    code: str
    detail: str
    field: str | None = None


@dataclass(slots=True)
class ParsedBody:
    """The events with their indexes in the body, those that were rejected, and flags for what was altered, by index."""

    events: list[tuple[int, WireEvent]] = field(default_factory=list)
    rejected: list[EventRejection] = field(default_factory=list)
    flags: dict[int, list[str]] = field(default_factory=dict)


_event_list: TypeAdapter[list[WireEvent]] = TypeAdapter(list[WireEvent])
# The first pass stops at the first error: collecting all errors of a body with millions of them would fill the memory.
_valid_event_list: TypeAdapter[list[WireEvent]] = TypeAdapter(Annotated[list[WireEvent], FailFast()])
# Called for each POST of one event: the method of the adapter takes a tenth longer.
_validate_single_event = TypeAdapter(WireEvent).validator.validate_json
_NUL = b"\\u0000"
# Two different ones in one event contradict each other. Each with its name as JSON writes it.
_STATED_ONCE = {"outcome": b'"outcome"', "severity": b'"severity"'}
# A small letter as JSON writes an escape; serializers write none of these.
_ESCAPE, _LETTER = rb"\u00", re.compile(rb"\\u00(?:6[1-9A-Fa-f]|7[0-9Aa])")


def parse_events(body: RequestBody, *, max_events: int, max_event_size: int) -> ParsedBody:
    """Parse every event. Raises MalformedBody if the body holds none, TooLarge if it holds too many."""
    data = body.data
    _check_value_count(data)
    if body.format is BodyFormat.LINES:
        return _parse_lines(data, max_events, max_event_size)
    if not data or data.isspace():
        raise MalformedBody("the body is empty")
    size_limit = max_event_size if len(data) > max_event_size else None  # None: no event can be larger
    if _NUL not in data:
        try:
            if body.is_single:
                event = _validate_single_event(data)
                if not _may_contradict_itself(data, [event]):
                    return ParsedBody([(0, event)])
            else:
                events = _valid_event_list.validate_json(data)
                if not _may_contradict_itself(data, events):
                    return _keep_valid(events, max_events, size_limit)
        except ValidationError:
            pass  # parsed again below, event by event, to report which ones are wrong and why
    value = _parse_json(data)
    values = value if isinstance(value, list) else [value]
    return _validate(values, max_events, size_limit=size_limit)


def _check_value_count(data: bytes) -> None:
    """Refuse a body with too many arrays, objects or values before it is parsed. Raises TooLarge.

    Brackets and commas within strings count too: only parsing could tell them apart.
    """
    if len(data) <= MAX_OPENING_BRACKETS:
        return
    if data.count(b"[") + data.count(b"{") > MAX_OPENING_BRACKETS:
        raise TooLarge(f"the body has more than {MAX_OPENING_BRACKETS} of [ and {{; send it in parts")
    if data.count(b",") > MAX_COMMAS:
        raise TooLarge(f"the body has more than {MAX_COMMAS} commas; send it in parts")


def _parse_lines(data: bytes, max_events: int, max_event_size: int) -> ParsedBody:
    lines = [line for line in data.split(b"\n") if line and not line.isspace()]
    _check_event_count(len(lines), max_events)
    if _NUL not in data and (len(data) <= max_event_size or max(map(len, lines)) <= max_event_size):
        try:
            events = _valid_event_list.validate_json(b"[" + b",".join(lines) + b"]")
        except ValidationError:
            pass
        else:
            # A line that held two events would make the indexes after it wrong.
            if len(events) == len(lines) and not _may_contradict_itself(data, events):
                return ParsedBody(list(enumerate(events)))
    values: list[Any] = []
    rejected: dict[int, EventRejection] = {}
    for index, line in enumerate(lines):
        value = None
        if len(line) > max_event_size:
            rejected[index] = _reject_large_event(index, max_event_size)
        else:
            try:
                value = _parse_json(line)
            except MalformedBody as cause:
                rejected[index] = EventRejection(index, cause.code, cause.detail)
        values.append(value)
    return _validate(values, max_events, rejected)


def _keep_valid(events: list[WireEvent], max_events: int, size_limit: int | None) -> ParsedBody:
    """Accept events that are all valid, except those larger than `size_limit` bytes; None: no event can be larger."""
    _check_event_count(len(events), max_events)
    if size_limit is None:
        return ParsedBody(list(enumerate(events)))
    parsed = ParsedBody()
    for index, event in enumerate(events):
        if _is_larger_than(event, size_limit):
            parsed.rejected.append(_reject_large_event(index, size_limit))
        else:
            parsed.events.append((index, event))
    return parsed


def _is_larger_than(event: object, limit: int) -> bool:
    """Return whether an event of an array is larger than `limit` bytes.

    It is measured as serialized again without white space, because its position in the body is not known.
    """
    return isinstance(event, Mapping) and len(to_json(event)) > limit


def _reject_large_event(index: int, limit: int) -> EventRejection:
    return EventRejection(index, TooLarge.code, f"the event is larger than {limit} bytes")


def _check_event_count(count: int, max_events: int) -> None:
    if count > max_events:
        raise TooLarge(f"a request may hold at most {max_events} events, not {count}", code="too_many_events")


def _parse_json(data: bytes) -> Any:  # noqa: ANN401
    """Parse JSON and tolerate bytes that are no UTF-8: a file name in an old encoding must not cost the report of a failure."""
    try:
        text = data.decode("utf-8", "surrogateescape")
        value = json.loads(text, strict=False, parse_int=parse_digits, object_pairs_hook=_object_of)
    except (ValueError, RecursionError) as cause:
        where = f" at character {cause.pos}" if isinstance(cause, json.JSONDecodeError) else ""
        raise MalformedBody(f"not JSON{where}") from cause
    # Each version of Python stops at another depth; this limit is below all of them, so that the answer is the same everywhere.
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            item
            for each in level
            if isinstance(each, dict | list)
            for item in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return value
    raise MalformedBody(f"nested deeper than {_MAX_DEPTH} levels")


def _may_contradict_itself(data: bytes, events: Sequence[WireEvent]) -> bool:
    """Return whether one of the events may state its outcome twice: of a name that is repeated, a parser keeps only the last value."""
    if _ESCAPE in data and _LETTER.search(data) is not None:  # a name may be written with it
        return True
    for name, written in _STATED_ONCE.items():
        count = data.count(written)
        if count > 1 and count > sum(name in event for event in events):
            return True
    return False


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object with these names. Outcomes that contradict each other become one text, which no event may state as a success."""
    found = dict(pairs)
    if len(found) < len(pairs):
        for name in _STATED_ONCE:
            values = list(dict.fromkeys(str(value) for stated, value in pairs if stated == name))
            if len(values) > 1:
                found[name] = " / ".join(values[:10])
    return found


def parse_digits(digits: str) -> float:
    """Return a whole number; infinity for one with so many digits that Python refuses it: a metric must not cost the whole body."""
    return int(digits) if len(digits) <= _MAX_DIGITS else math.inf


def _validate(
    values: Sequence[Any],
    max_events: int,
    rejected: dict[int, EventRejection] | None = None,
    *,
    size_limit: int | None = None,
) -> ParsedBody:
    """Check values that are parsed already: all in one call, and in a second call without those that the first one refused.

    `size_limit`: the largest size of an event in bytes, where the body is larger than that and its events are not measured yet.
    """
    _check_event_count(len(values), max_events)
    refused = dict(rejected or {})
    parsed = ParsedBody()
    cleaned = []
    for index, value in enumerate(values):
        event, was_replaced = (None, False) if index in refused else replace_unstorable(value)
        if was_replaced:
            parsed.flags.setdefault(index, []).append("text_replaced")
        while isinstance(event, dict) and (field := _find_overfull_field(event)):
            _drop(event, (field,), parsed.flags.setdefault(index, []))
        cleaned.append(event)
        if size_limit is not None and _is_larger_than(event, size_limit):
            refused[index] = _reject_large_event(index, size_limit)
    indexes = [index for index in range(len(cleaned)) if index not in refused]
    try:
        events = _event_list.validate_python([cleaned[index] for index in indexes])
    except ValidationError as wrong:
        for error in wrong.errors(include_input=False, include_url=False):
            index, place = indexes[int(error["loc"][0])], error["loc"][1:]
            event = cleaned[index]
            if isinstance(event, dict) and place:
                _drop(event, place, parsed.flags.setdefault(index, []))
            else:
                refused[index] = EventRejection(index, "not_an_object", "an event must be a JSON object")
        indexes = [index for index in indexes if index not in refused]
        events = _event_list.validate_python([cleaned[index] for index in indexes])
    parsed.events = list(zip(indexes, events, strict=True))
    parsed.rejected = [refused[index] for index in sorted(refused)]
    return parsed


def _drop(event: dict[str, Any], place: Sequence[str | int], flags: list[str]) -> None:
    """Move the value at a place of an event, such as `metrics`, `duration_s`, to its `extra`, and flag it. The event is changed."""
    field, *inner = map(str, place)
    flag = f"{field}_ignored"
    if flag not in flags:
        flags.append(flag)
    extra = event.get("extra")
    if not isinstance(extra, dict):
        extra = event["extra"] = {} if extra is None else {"extra": extra}
    unused = extra.setdefault(_UNUSED, {})
    values = event.get(field)
    if not isinstance(unused, dict):  # the sender's own
        event.pop(field, None)
    elif inner and isinstance(values, dict) and inner[0] in values:
        kept = unused.setdefault(field, {})
        value = values.pop(inner[0])
        if isinstance(kept, dict):
            kept[inner[0]] = value
    else:
        unused[field] = event.pop(field, None)


def _find_overfull_field(event: object) -> str | None:
    """Name the field that holds far too many values, if one does: Pydantic would create an error text for each wrong value."""
    if not isinstance(event, Mapping):
        return None
    nested = ((field, event.get(field)) for field in ("metrics", "labels"))
    return next(
        (field for field, values in nested if isinstance(values, Mapping) and len(values) > MAX_NESTED_VALUES), None
    )
