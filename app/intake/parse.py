"""From a body's bytes to the events in it, each checked for its kinds of values once. A bad event never costs the good ones."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import ConfigDict, FailFast, Field, FiniteFloat, JsonValue, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from app.core.errors import MalformedBody, TooLarge
from app.intake.body import Body, Form
from app.intake.bulk import NESTED_MOST, check_parts, is_too_large, too_many
from app.intake.cut import clean
from programs.protocol import report as protocol

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
# Bounds are in the schema only: a value beyond one is cut, or refused by intake/fields.py with a code of its own.
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
        Field(description="Where in its run the event stands; a plain message has none."),
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
class Rejected:
    """Why one event of a body was not taken. `index` counts from 0; blank lines do not count."""

    index: int
    code: str
    detail: str
    field: str | None = None


@dataclass(slots=True)
class Parsed:
    """The events with their places in the body, those that were refused, and the places where text was replaced."""

    events: list[tuple[int, WireEvent]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    replaced: set[int] = field(default_factory=set)


_many: TypeAdapter[list[WireEvent]] = TypeAdapter(list[WireEvent])
# The first look: it stops at the first fault, for a body of millions of faults would be millions of texts.
_all_good: TypeAdapter[list[WireEvent]] = TypeAdapter(Annotated[list[WireEvent], FailFast()])
_one: TypeAdapter[WireEvent] = TypeAdapter(WireEvent)
_NUL = b"\\u0000"


def parse(body: Body, *, most_events: int, line_limit: int) -> Parsed:
    """Read every event. Raises MalformedBody if there is none to find, TooLarge if there are too many."""
    check_parts(body.data)
    if body.form is Form.LINES:
        return _parse_lines(body.data, most_events, line_limit)
    if not body.data or body.data.isspace():
        raise MalformedBody("the body is empty")
    if _NUL not in body.data:
        try:
            if body.is_single:
                return Parsed([(0, _one.validate_json(body.data))])
            return _all(
                _all_good.validate_json(body.data), most_events, line_limit if len(body.data) > line_limit else None
            )
        except ValidationError:
            pass  # read it again, event by event, to say which and why
    found = _loads(body.data)
    values = found if isinstance(found, list) else [found]
    return _check(values, most_events, limit=line_limit if len(body.data) > line_limit else None)


def _parse_lines(data: bytes, most_events: int, line_limit: int) -> Parsed:
    lines = [line for line in data.split(b"\n") if line and not line.isspace()]
    _check_count(len(lines), most_events)
    if _NUL not in data and (len(data) <= line_limit or max(map(len, lines)) <= line_limit):
        try:
            events = _all_good.validate_json(b"[" + b",".join(lines) + b"]")
        except ValidationError:
            pass
        else:
            if len(events) == len(lines):  # else a line held two, and every place after it would be wrong
                return Parsed(list(enumerate(events)))
    values: list[Any] = []
    rejected: dict[int, Rejected] = {}
    for index, line in enumerate(lines):
        value = None
        if len(line) > line_limit:
            rejected[index] = _large(index, line_limit)
        else:
            try:
                value = _loads(line)
            except MalformedBody as cause:
                rejected[index] = Rejected(index, cause.code, cause.detail)
        values.append(value)
    return _check(values, most_events, rejected)


def _all(events: list[WireEvent], most_events: int, limit: int | None) -> Parsed:
    """Take events that are all good, but for those of more than `limit` bytes; None: the whole body has no more."""
    _check_count(len(events), most_events)
    if limit is None:
        return Parsed(list(enumerate(events)))
    parsed = Parsed()
    for index, event in enumerate(events):
        if is_too_large(event, limit):
            parsed.rejected.append(_large(index, limit))
        else:
            parsed.events.append((index, event))
    return parsed


def _large(index: int, limit: int) -> Rejected:
    return Rejected(index, TooLarge.code, f"the event is larger than {limit} bytes")


def _check_count(count: int, most_events: int) -> None:
    if count > most_events:
        raise TooLarge(f"at most {most_events} events in one request, not {count}", code="too_many_events")


def _loads(data: bytes) -> Any:  # noqa: ANN401
    """Read JSON as forgivingly as can be: a backup's failure must not be lost to a file name in an old encoding."""
    try:
        return json.loads(data.decode("utf-8", "surrogateescape"), strict=False)
    except (ValueError, RecursionError) as cause:
        where = f" at character {cause.pos}" if isinstance(cause, json.JSONDecodeError) else ""
        raise MalformedBody(f"not JSON{where}") from cause


def _check(
    values: Sequence[Any], most_events: int, rejected: dict[int, Rejected] | None = None, *, limit: int | None = None
) -> Parsed:
    """Check values that were read already: all at once, and without those that the first look refuses at the second.

    `limit`: the most bytes of one, where the body is larger than that and its events were not measured yet.
    """
    _check_count(len(values), most_events)
    refused = dict(rejected or {})
    parsed = Parsed()
    cleaned = []
    for index, value in enumerate(values):
        if field := too_many(value):
            refused[index] = Rejected(index, "too_many", f"{field}: more than {NESTED_MOST}", field)
        one, was_replaced = (None, False) if index in refused else clean(value)
        cleaned.append(one)
        if was_replaced:
            parsed.replaced.add(index)
        if limit is not None and is_too_large(one, limit):
            refused[index] = _large(index, limit)
    places = [index for index in range(len(cleaned)) if index not in refused]
    try:
        events = _many.validate_python([cleaned[index] for index in places])
    except ValidationError as wrong:
        for error in wrong.errors(include_input=False, include_url=False):
            index = places[int(error["loc"][0])]
            refused.setdefault(index, _rejected(index, error))
        places = [index for index in places if index not in refused]
        events = _many.validate_python([cleaned[index] for index in places])
    parsed.events = list(zip(places, events, strict=True))
    parsed.rejected = [refused[index] for index in sorted(refused)]
    return parsed


def _rejected(index: int, error: Any) -> Rejected:  # noqa: ANN401  (Pydantic's ErrorDetails)
    name = ".".join(str(part) for part in error["loc"][1:])
    if not name:
        return Rejected(index, "not_an_object", "an event is a JSON object")
    code = "not_finite" if error["type"] == "finite_number" else "wrong_kind"
    return Rejected(index, code, f"{name[:200]}: {error['msg']}", name[:200])
