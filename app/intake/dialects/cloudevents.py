"""CloudEvents 1.0 over HTTP: binary, structured and in batches. Source and id identify an event: two with the same are one event.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md. How it ended is in the data
(cloudevents_outcome.py); CDEvents nest theirs, https://github.com/cdevents/spec/blob/main/core.md.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from app.intake import fields
from app.intake.dialects.body_fields import as_text, first_text, parse_json_object, read_json_body
from app.intake.dialects.cloudevents_outcome import STATES, find_result, words_of_type
from app.intake.dialects.make_event import make_event, make_unreadable_event
from app.intake.dialects.text_decoding import decode_header_value
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.values import parse_number, parse_time
from app.intake.parse import WireEvent

TOOL = "cloudevents"
_REQUIRED = ("specversion", "id", "source", "type")
_MAX_BATCH = 10_000
_QUOTED = re.compile(r'^"(.*)"$')
_ACTIVITIES = {
    "backup": "backup", "snapshot": "backup", "restore": "restore", "verify": "verify", "verification": "verify", "check": "verify",
    "prune": "prune", "forget": "prune", "replicate": "replicate", "replication": "replicate", "sync": "replicate", "heartbeat": "heartbeat",
}  # fmt: skip
_AMOUNTS = {
    "duration_s": ("duration_s", "duration", "seconds"),
    "bytes_processed": ("bytes_processed", "bytes", "size"),
    "bytes_stored": ("bytes_stored", "bytes_added"),
    "files_processed": ("files_processed", "files"),
    "files_failed": ("files_failed", "errors"),
    "exit_code": ("exit_code",),
}
_REASONS = ("message", "error", "reason", "msg", "errors")


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the events. Raises NotUnderstood for anything but a CloudEvent, and for one without a required attribute."""
    if (batch := _parse_batch(request)) is not None:
        return list(_read_batch(batch[:_MAX_BATCH], request))
    if (structured := _parse_structured(request)) is not None:
        return [_make_event(*structured, request)]
    attributes = {
        name.removeprefix("ce-"): unquote(_QUOTED.sub(r"\1", decode_header_value(value)), errors="replace")
        for name, value in request.headers.items()
        if name.startswith("ce-")
    }
    return [_make_event(attributes, request.text, request)]


def _read_batch(batch: Sequence[object], request: ToolRequest) -> Iterator[WireEvent]:
    """Yield the events of a batch. Bad ones are unclear, one for each reason, so that the others are not lost."""
    reasons = set[str]()
    for item in batch:
        try:
            yield _make_event(*_split_structured(item if isinstance(item, dict) else {}), request)
        except NotUnderstood as cause:
            if (
                str(cause) not in reasons
            ):  # each holds the beginning of the whole body: for 1 000 bad ones it was decoded 1 000 times
                reasons.add(str(cause))
                yield make_unreadable_event(TOOL, request, str(cause))


def _parse_batch(request: ToolRequest) -> list[Any] | None:
    if request.body[:200].lstrip()[:1] != b"[" or "ce-id" in request.headers:
        return None
    batch = parse_json_object(f'{{"batch":{request.text}}}').get("batch")
    return batch if isinstance(batch, list) else None


def _parse_structured(request: ToolRequest) -> tuple[Mapping[str, Any], object] | None:
    if "ce-id" in request.headers or "ce-specversion" in request.headers:
        return None
    body = read_json_body(request)
    is_event = "specversion" in body or "application/cloudevents" in request.headers.get("content-type", "").lower()
    return _split_structured(body) if is_event else None


def _split_structured(event: Mapping[str, Any]) -> tuple[Mapping[str, Any], object]:
    """Split an event's JSON into its attributes and its data."""
    attributes = {name: value for name, value in event.items() if name not in ("data", "data_base64")}
    encoded = event.get("data_base64")
    if not isinstance(encoded, str):
        return attributes, event.get("data")
    try:
        return attributes, base64.b64decode(encoded).decode("utf-8", "replace")
    except (ValueError, binascii.Error):
        return attributes, encoded


def _make_event(attributes: Mapping[str, Any], data: object, request: ToolRequest) -> WireEvent:
    missing = [name for name in _REQUIRED if not as_text(attributes.get(name))]
    if missing:
        raise NotUnderstood(f"a CloudEvent without {', '.join(missing)}")
    source, event_type = as_text(attributes["source"]) or "", as_text(attributes["type"]) or ""
    content = data if isinstance(data, dict) else parse_json_object(data) if isinstance(data, str) else {}
    content = _unpack_cdevent(content)
    words = words_of_type(event_type)
    first_line = data.strip().partition("\n")[0].strip('"') if isinstance(data, str) and not content else None
    result = find_result(words, content, data if isinstance(data, str) and not content else "")
    reason = first_text(content, _REASONS) or first_line
    stated_activity = (first_text(content, ("activity",)) or "").lower()
    last_part = next((part for part in reversed(source.split("/")) if part), None)
    return make_event(
        TOOL,
        agent=request.query_value("agent") or first_text(content, ("agent", "host", "hostname")) or last_part,
        job=request.job
        or request.query_value("job")
        or first_text(content, ("job",))
        or as_text(attributes.get("subject"))
        or TOOL,
        run=first_text(content, ("run", "run_id")),
        activity=stated_activity
        if stated_activity in fields.ACTIVITIES
        else next((_ACTIVITIES[word] for word in reversed(words) if word in _ACTIVITIES), "backup"),
        phase=result.phase,
        at=parse_time(attributes.get("time")),
        message=reason or (event_type if result.reading is not None and result.reading.meaning != "success" else None),
        log=first_text(content, ("log", "output")) or (data if isinstance(data, str) and not content else None),
        metrics={metric: _find_amount(content, names) for metric, names in _AMOUNTS.items()},
        labels={"ce_type": event_type, "ce_source": source},
        extra={name: value for name, value in attributes.items() if name not in ("source", "type", "specversion")},
        key=[source, as_text(attributes["id"])],
        reading=result.reading,
    )


def _unpack_cdevent(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the content of a CDEvent's subject together with the fields around it."""
    subject = content.get("subject")
    inner = subject.get("content") if isinstance(subject, dict) else None
    if not isinstance(inner, dict):
        return content
    outer = {name: value for name, value in content.items() if name not in ("subject", "context", *STATES)}
    return (
        {**outer, **inner, "job": inner.get("job") or as_text(subject.get("id"))}
        if isinstance(subject, dict)
        else content
    )


def _find_amount(content: Mapping[str, Any], names: Sequence[str]) -> float | None:
    metrics = content.get("metrics")
    places = (metrics, content) if isinstance(metrics, dict) else (content,)
    numbers = (parse_number(place.get(name)) for place in places for name in names)
    return next((number for number in numbers if number is not None and number >= 0), None)
