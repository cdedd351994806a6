"""CloudEvents 1.0 over HTTP: binary, structured and in batches. Source and id name an event for ever: the same two are one event.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md. The type says what happened
(`org.example.backup.failed`); where it does not, the data may.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from app.intake import fields
from app.intake.dialects.json_body import object_in, object_of, text_in
from app.intake.dialects.make_event import number, told, unread
from app.intake.dialects.moments import moment_in
from app.intake.dialects.text import header_text
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.words import outcome_in
from app.intake.parse import WireEvent

TOOL = "cloudevents"
_REQUIRED = ("specversion", "id", "source", "type")
_MOST = 10_000
_QUOTED = re.compile(r'^"(.*)"$')
_VERSION = re.compile(r"v\d{1,6}")
_STARTED = frozenset({"started", "start", "starting", "begun", "begin", "running"})
_PROGRESS = frozenset({"progress", "progressed", "updated", "update"})
_OUTCOMES = {
    **dict.fromkeys(("success", "succeeded", "successful", "completed", "complete", "finished", "done", "ok", "passed"), "success"),
    **dict.fromkeys(("warning", "warned", "partial", "partially", "incomplete", "degraded"), "warning"),
    **dict.fromkeys(("failure", "failed", "fail", "error", "errored", "fatal"), "failure"),
    **dict.fromkeys(("cancelled", "canceled", "aborted"), "cancelled"),
}  # fmt: skip
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
_STATES = ("outcome", "status", "state", "result", "event")
_REASONS = ("message", "error", "reason", "msg")


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the events. Raises NotUnderstood for what is no CloudEvent, and for one that lacks what the standard requires."""
    if (batch := _batch(said)) is not None:
        return [_of_batch(one, said) for one in batch[:_MOST]]
    attributes, data = _structured(said) or _binary(said)
    return [_event(attributes, data, said)]


def _of_batch(one: object, said: ToolRequest) -> WireEvent:
    """Give one event of a batch. One that is bad must not cost the others."""
    try:
        return _event(*_opened(one if isinstance(one, dict) else {}), said)
    except NotUnderstood as cause:
        return unread(TOOL, said, str(cause))


def _batch(said: ToolRequest) -> list[Any] | None:
    if said.body[:200].lstrip()[:1] != b"[" or "ce-id" in said.headers:
        return None
    found = object_in(f'{{"batch":{said.text}}}').get("batch")
    return found if isinstance(found, list) else None


def _structured(said: ToolRequest) -> tuple[Mapping[str, Any], object] | None:
    if "ce-id" in said.headers or "ce-specversion" in said.headers:
        return None
    found = object_of(said)
    is_one = "specversion" in found or "application/cloudevents" in said.headers.get("content-type", "").lower()
    return _opened(found) if is_one else None


def _opened(found: Mapping[str, Any]) -> tuple[Mapping[str, Any], object]:
    """Part an event's JSON into its attributes and its data."""
    attributes = {name: value for name, value in found.items() if name not in ("data", "data_base64")}
    packed = found.get("data_base64")
    if not isinstance(packed, str):
        return attributes, found.get("data")
    try:
        return attributes, base64.b64decode(packed).decode("utf-8", "replace")
    except (ValueError, binascii.Error):
        return attributes, packed


def _binary(said: ToolRequest) -> tuple[Mapping[str, Any], object]:
    attributes = {
        name.removeprefix("ce-"): unquote(_QUOTED.sub(r"\1", header_text(value)), errors="replace")
        for name, value in said.headers.items()
        if name.startswith("ce-")
    }
    return attributes, said.text


def _event(attributes: Mapping[str, Any], data: object, said: ToolRequest) -> WireEvent:
    missing = [name for name in _REQUIRED if not text_in(attributes.get(name))]
    if missing:
        raise NotUnderstood(f"a CloudEvent without {', '.join(missing)}")
    source, kind = text_in(attributes["source"]) or "", text_in(attributes["type"]) or ""
    given = data if isinstance(data, dict) else object_in(data) if isinstance(data, str) else {}
    words = [word for word in re.split(r"[^a-z0-9]+", kind.lower()) if not _VERSION.fullmatch(word)]
    phase, outcome = _verdict(words, given)
    reason = _text(given, _REASONS) or (None if given else _first_line(data))
    return told(
        TOOL,
        agent=said.asked("agent") or _text(given, ("agent", "host", "hostname")) or _last_part(source),
        job=said.job or said.asked("job") or _text(given, ("job",)) or text_in(attributes.get("subject")) or TOOL,
        run=_text(given, ("run", "run_id")),
        activity=_activity(words, given),
        phase=phase,
        outcome=outcome,
        at=moment_in(attributes.get("time")),
        message=reason or (kind if outcome in ("failure", "warning") else None),
        log=_text(given, ("log", "output")) or (data if isinstance(data, str) and not given else None),
        metrics={metric: _amount(given, names) for metric, names in _AMOUNTS.items()},
        labels={"ce_type": kind, "ce_source": source},
        extra={name: value for name, value in attributes.items() if name not in ("source", "type", "specversion")},
        key=[source, text_in(attributes["id"])],
    )


def _verdict(words: Sequence[str], given: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Give phase and outcome, by the type's last word that tells of one, else by what the data says of its state."""
    state = (_text(given, _STATES) or "").lower()
    for word in (*reversed(words), state):
        if word in _STARTED:
            return "started", None
        if word in _PROGRESS:
            return "progress", None
        if word in _OUTCOMES:
            return "finished", _OUTCOMES[word]
    outcome = outcome_in(state[:100])
    return ("finished", outcome) if outcome else (None, None)


def _activity(words: Sequence[str], given: Mapping[str, Any]) -> str:
    named = (_text(given, ("activity",)) or "").lower()
    if named in fields.ACTIVITIES:
        return named
    return next((_ACTIVITIES[word] for word in reversed(words) if word in _ACTIVITIES), "backup")


def _amount(given: Mapping[str, Any], names: Sequence[str]) -> float | None:
    own = given.get("metrics")
    places = (own, given) if isinstance(own, dict) else (given,)
    found = (number(place.get(name)) for place in places for name in names)
    return next((value for value in found if value is not None and value >= 0), None)


def _text(given: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((text for name in names if (text := text_in(given.get(name)))), None)


def _first_line(data: object) -> str | None:
    return data.strip().partition("\n")[0].strip('"') if isinstance(data, str) else None


def _last_part(source: str) -> str | None:
    return next((part for part in reversed(source.split("/")) if part), None)
