"""Validate one field of an event each: its limits, its allowed words, its default.

Each function returns the value to store, and raises BadInput with the field's name and a stable code.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from app.core.errors import BadInput
from app.domain.dedupe import OURS
from app.domain.event import CLOCK_OFFSET_S, SENT_AT, Activity, Phase, RunOutcome, Severity
from app.intake.clocks import EARLIEST
from app.intake.parse import WireEvent
from app.intake.sanitize import strip_escapes, truncate_middle, truncate_text
from programs.protocol import report as protocol

MAX_NAME_LENGTH, MAX_MESSAGE_LENGTH = protocol.NAME_MOST, protocol.MESSAGE_MOST
MAX_LABELS, MAX_LABEL_NAME_LENGTH, MAX_LABEL_VALUE_LENGTH = (
    protocol.LABELS_MOST,
    protocol.LABEL_NAME_MOST,
    protocol.LABEL_VALUE_MOST,
)
MAX_METRICS, MAX_METRIC_NAME_LENGTH = protocol.METRICS_MOST, protocol.METRIC_NAME_MOST
MAX_EXTRA_SIZE = 16 * 1024

_KNOWN_FIELDS = frozenset(WireEvent.__annotations__)
_SERVER_OUTCOMES = frozenset({RunOutcome.MISSED.value, RunOutcome.OVERRUN.value, RunOutcome.SUPERSEDED.value})
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Marks that reverse the text after them or are invisible: with one, "nas01" could look like another agent's name.
_INVISIBLE = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f\ufeff]")
ACTIVITIES = frozenset(activity.value for activity in Activity)
PHASES = frozenset(phase.value for phase in Phase)
OUTCOMES = frozenset(outcome.value for outcome in RunOutcome) - _SERVER_OUTCOMES
SEVERITIES = frozenset(severity.value for severity in Severity)


def validate_name(value: str | None, field: str) -> str | None:
    """Return a name on one line, without white space around it; None if it is empty.

    A name that is too long is refused, never shortened: two jobs would become one.
    """
    if value is None:
        return None
    value = to_visible_line(value)
    if len(value) > MAX_NAME_LENGTH:
        raise BadInput(f"{field}: at most {MAX_NAME_LENGTH} characters are allowed", code="too_long", field=field)
    return value or None


def to_visible_line(text: str) -> str:
    """Return a text without line ends and invisible characters: a line end in a name could add a header to a mail's subject."""
    return (text if text.isprintable() else _CONTROLS.sub(" ", _INVISIBLE.sub("", strip_escapes(text)))).strip()


def validate_key(value: str | None) -> str | None:
    """Return the agent's own key. The prefix of our own keys is refused: such an event would keep ours from being stored."""
    key = validate_name(value, "key")
    if key is not None and key.startswith(OURS):
        raise BadInput(f"key: the prefix {OURS} is reserved for the service", code="key_reserved", field="key")
    return key


def validate_word(value: str | None, field: str, allowed: frozenset[str]) -> str | None:
    """Return one of the allowed words in lower case; None if the field is absent or blank."""
    if value is None or value in allowed:
        return value
    word = value.strip().lower()
    if word in allowed:
        return word
    if not word:
        return None
    raise BadInput(
        f"{field}: {value[:60]!r} is not one of {', '.join(sorted(allowed))}", code=f"unknown_{field}", field=field
    )


def validate_outcome(value: str | None) -> str | None:
    """Return how the run ended. `missed`, `overrun` and `superseded` are refused: only the service sets them."""
    if value is not None and value.strip().lower() in _SERVER_OUTCOMES:
        raise BadInput(
            f"outcome: {value.strip().lower()!r} is set by the service and cannot be sent",
            code="outcome_is_ours",
            field="outcome",
        )
    return validate_word(value, "outcome", OUTCOMES)


def validate_time(value: str | None) -> datetime | None:
    """Return the time of the sender's clock, in UTC; None if the field is absent."""
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        at = _parse_unusual_time(value)
    if at.tzinfo is None:
        raise BadInput(
            "occurred_at: an offset is required; end the time with Z or +hh:mm", code="no_offset", field="occurred_at"
        )
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if at.year > EARLIEST.year else datetime.min.replace(tzinfo=UTC)


def validate_sent_at(value: str | None, flags: list[str]) -> datetime | None:
    """Return when the sender sent the event by its own clock. A value that is no time is left out: it must not cost the event."""
    try:
        return validate_time(value)
    except BadInput:
        flags.append("sent_at_ignored")
        return None


def _parse_unusual_time(value: str) -> datetime:
    """Parse what RFC 3339 allows and Python does not: lower-case letters and a leap second."""
    text = value.strip().upper()
    if text[16:19] == ":60":
        text = text[:16] + ":59" + text[19:]
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            f"occurred_at: {value[:60]!r} is not an RFC 3339 time such as 2026-01-31T02:10:00+01:00",
            code="bad_time",
            field="occurred_at",
        ) from None


def limit_message(value: str | None, flags: list[str]) -> str | None:
    """Return the message, shortened if it is too long."""
    if value is None:
        return None
    value = strip_escapes(value)
    kept = truncate_text(value, MAX_MESSAGE_LENGTH)
    if len(kept) < len(value):
        flags.append("message_cut")
    return kept or None


def limit_log(value: str | None, max_size: int, flags: list[str]) -> str | None:
    """Return the log, without its middle if it is larger than `max_size` bytes."""
    if value is None:
        return None
    value = strip_escapes(value)
    kept = truncate_middle(value, max_size)
    if kept is not value:
        flags.append("log_cut")
    return kept or None


def validate_metrics(value: Mapping[str, float] | None) -> str | None:
    """Return the metrics as JSON, whole numbers without a decimal point."""
    if not value:
        return None
    _check_size(value, "metrics", MAX_METRICS, MAX_METRIC_NAME_LENGTH)
    return to_json(
        {name: int(number) if number.is_integer() and abs(number) < 2**63 else number for name, number in value.items()}
    ).decode()


def validate_labels(value: Mapping[str, str] | None) -> str | None:
    """Return the labels as JSON. They are never shortened: routes and silences match them."""
    if not value:
        return None
    _check_size(value, "labels", MAX_LABELS, MAX_LABEL_NAME_LENGTH)
    for label, text in value.items():
        if len(text) > MAX_LABEL_VALUE_LENGTH:
            raise BadInput(
                f"labels.{label}: at most {MAX_LABEL_VALUE_LENGTH} characters are allowed",
                code="too_long",
                field=f"labels.{label}",
            )
    return to_json(value).decode()


def _check_size(value: Mapping[str, object], field: str, max_items: int, max_name_length: int) -> None:
    if len(value) > max_items:
        raise BadInput(f"{field}: at most {max_items} {field} are allowed", code="too_many", field=field)
    if max(map(len, value)) > max_name_length:
        raise BadInput(f"{field}: a name may have at most {max_name_length} characters", code="too_long", field=field)


def collect_extra(event: WireEvent) -> dict[str, Any] | None:
    """Return the fields that we do not know, together with what the agent sent as `extra`, without names that are ours."""
    if event.keys() <= _KNOWN_FIELDS and event.get("extra") is None:
        return None
    extra: dict[str, Any] = {field: value for field, value in event.items() if field not in _KNOWN_FIELDS}
    sent = event.get("extra")
    if isinstance(sent, dict):
        extra |= sent
    elif sent is not None:
        extra["extra"] = sent
    for ours in (SENT_AT, CLOCK_OFFSET_S):  # only the field `sent_at` proves a time
        extra.pop(ours, None)
    return extra or None


def describe_clock(sent_at: datetime | None, offset: timedelta) -> dict[str, Any]:
    """Return what an event's `extra` keeps of its sender's clock."""
    if sent_at is None:
        return {}
    clock: dict[str, Any] = {SENT_AT: sent_at.isoformat()}
    return {**clock, CLOCK_OFFSET_S: round(offset.total_seconds())} if offset else clock


def extra_to_json(extra: dict[str, Any] | None, flags: list[str]) -> str | None:
    """Return `extra` as JSON of limited size; the last fields are dropped first. A number that JSON cannot hold becomes null."""
    if not extra:
        return None
    try:
        whole = to_json(extra, inf_nan_mode="null")
        if len(whole) <= MAX_EXTRA_SIZE:
            return whole.decode()
        flags.append("extra_cut")
        kept: list[bytes] = []
        room = MAX_EXTRA_SIZE - 2
        for field, value in extra.items():
            pair = to_json({field: value}, inf_nan_mode="null")[1:-1]
            room -= len(pair) + 1
            if room < 0:
                break
            kept.append(pair)
        return (b"{" + b",".join(kept) + b"}").decode() if kept else None
    except (PydanticSerializationError, ValueError, RecursionError):  # nested too deeply
        flags.append("extra_cut")
        return None


def canonical_json(value: object) -> bytes:
    """Return the JSON of a value, the same whatever the order of its names."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
