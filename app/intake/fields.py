"""Reads one field of an event each: its bounds, its words, its defaults. Raises BadInput with the field's name and a stable code."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from app.core.errors import BadInput
from app.domain.dedupe import OURS
from app.domain.event import Activity, Phase, RunOutcome, Severity
from app.intake.cut import cut_middle, cut_text
from app.intake.parse import WireEvent
from programs.protocol import report as wire

NAME_MOST, MESSAGE_MOST = wire.NAME_MOST, wire.MESSAGE_MOST
LABELS_MOST, LABEL_NAME_MOST, LABEL_VALUE_MOST = wire.LABELS_MOST, wire.LABEL_NAME_MOST, wire.LABEL_VALUE_MOST
METRICS_MOST, METRIC_NAME_MOST = wire.METRICS_MOST, wire.METRIC_NAME_MOST
EXTRA_MOST = 16 * 1024
AHEAD_MOST = timedelta(hours=24)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

_KNOWN = frozenset(WireEvent.__annotations__)
_OURS = frozenset({RunOutcome.MISSED.value, RunOutcome.SUPERSEDED.value})
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Marks that turn the words after them round, or cannot be seen: with one, "nas01" could look like another agent's name.
_TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f\ufeff]")
ACTIVITIES = frozenset(one.value for one in Activity)
PHASES = frozenset(one.value for one in Phase)
OUTCOMES = frozenset(one.value for one in RunOutcome) - _OURS
SEVERITIES = frozenset(one.value for one in Severity)


def name(given: str | None, field: str) -> str | None:
    """Give a name on one line, as it is read, without spaces around it; None if nothing is left. Never cut: two jobs would be one."""
    if given is None:
        return None
    given = as_read(given)
    if len(given) > NAME_MOST:
        raise BadInput(f"{field}: longer than {NAME_MOST} characters", code="too_long", field=field)
    return given or None


def as_read(text: str) -> str:
    """Give a name as people read it: without line ends, which would be some in a mail's subject, and what cannot be seen."""
    return (text if text.isprintable() else _CONTROLS.sub(" ", _TURNING.sub("", text))).strip()


def key(given: str | None) -> str | None:
    """Give the agent's own key. Those of our clock are refused: an event sent under one would keep ours from being written."""
    found = name(given, "key")
    if found is not None and found.startswith(OURS):
        raise BadInput(f"key: those that begin with {OURS} are ours", code="key_reserved", field="key")
    return found


def word(given: str | None, field: str, words: frozenset[str]) -> str | None:
    """Give one of our words, whatever its case."""
    if given is None or given in words:
        return given
    found = given.strip().lower()
    if found in words:
        return found
    if not found:
        return None
    raise BadInput(
        f"{field}: {given[:60]!r} is none of {', '.join(sorted(words))}", code=f"unknown_{field}", field=field
    )


def outcome(given: str | None) -> str | None:
    """Give how the run ended; `missed` and `superseded` are for us to say."""
    if given is not None and given.strip().lower() in _OURS:
        raise BadInput(
            f"outcome: {given.strip().lower()} is never sent, only found out by us",
            code="outcome_is_ours",
            field="outcome",
        )
    return word(given, "outcome", OUTCOMES)


def moment(given: str | None, received_at: datetime, flags: list[str]) -> datetime:
    """Give when it happened, in UTC; when we received it if that is not said, or if the clock there cannot be right."""
    if given is None:
        return received_at
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        at = _odd_moment(given)
    if at.tzinfo is None:
        raise BadInput("occurred_at: has no offset; end it in Z or +hh:mm", code="no_offset", field="occurred_at")
    try:
        at = at.astimezone(UTC)
    except OverflowError:
        at = datetime.max.replace(tzinfo=UTC) if at.year > EARLIEST.year else datetime.min.replace(tzinfo=UTC)
    if at > received_at + AHEAD_MOST:
        flags.append("clock_ahead")
        return received_at
    if at < EARLIEST:  # a host whose clock lost its battery: as old news, its failures would go unheard
        flags.append("clock_behind")
        return received_at
    return at


def _odd_moment(given: str) -> datetime:
    """Read what RFC 3339 allows and Python does not: small letters, and a leap second."""
    text = given.strip().upper()
    if text[16:19] == ":60":
        text = text[:16] + ":59" + text[19:]
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            f"occurred_at: {given[:60]!r} is not a time as in RFC 3339, such as 2026-01-31T02:10:00+01:00",
            code="bad_time",
            field="occurred_at",
        ) from None


def message(given: str | None, flags: list[str]) -> str | None:
    """Give the message, cut if it is too long for one."""
    if given is None:
        return None
    kept = cut_text(given, MESSAGE_MOST)
    if len(kept) < len(given):
        flags.append("message_cut")
    return kept or None


def log(given: str | None, most: int, flags: list[str]) -> str | None:
    """Give the log, with its middle left out if it is too long."""
    if given is None:
        return None
    kept = cut_middle(given, most)
    if kept is not given:
        flags.append("log_cut")
    return kept or None


def metrics(given: Mapping[str, float] | None) -> str | None:
    """Give the metrics as JSON, whole numbers without a point."""
    if not given:
        return None
    _check_count(given, "metrics", METRICS_MOST, METRIC_NAME_MOST)
    return to_json(
        {metric: int(value) if value.is_integer() and abs(value) < 2**63 else value for metric, value in given.items()}
    ).decode()


def labels(given: Mapping[str, str] | None) -> str | None:
    """Give the labels as JSON. Never cut: routes and silences match them."""
    if not given:
        return None
    _check_count(given, "labels", LABELS_MOST, LABEL_NAME_MOST)
    for label, value in given.items():
        if len(value) > LABEL_VALUE_MOST:
            raise BadInput(
                f"labels.{label}: longer than {LABEL_VALUE_MOST} characters", code="too_long", field=f"labels.{label}"
            )
    return to_json(given).decode()


def _check_count(given: Mapping[str, object], field: str, most: int, name_most: int) -> None:
    if len(given) > most:
        raise BadInput(f"{field}: more than {most}", code="too_many", field=field)
    if max(map(len, given)) > name_most:
        raise BadInput(f"{field}: a name is longer than {name_most} characters", code="too_long", field=field)


def extra_of(event: WireEvent) -> dict[str, Any] | None:
    """Gather what we do not know by name, and what the agent put under `extra`."""
    if event.keys() <= _KNOWN and event.get("extra") is None:
        return None
    found: dict[str, Any] = {field: value for field, value in event.items() if field not in _KNOWN}
    given = event.get("extra")
    if isinstance(given, dict):
        found |= given
    elif given is not None:
        found["extra"] = given
    return found or None


def extra_json(found: dict[str, Any] | None, flags: list[str]) -> str | None:
    """Give it as JSON, leaving out from the end what is too much. A number that JSON cannot hold becomes null."""
    if not found:
        return None
    try:
        whole = to_json(found, inf_nan_mode="null")
        if len(whole) <= EXTRA_MOST:
            return whole.decode()
        flags.append("extra_cut")
        return _first_of(found)
    except (PydanticSerializationError, ValueError, RecursionError):  # nested beyond all sense
        flags.append("extra_cut")
        return None


def _first_of(found: dict[str, Any]) -> str | None:
    kept: list[bytes] = []
    room = EXTRA_MOST - 2
    for field, value in found.items():
        pair = to_json({field: value}, inf_nan_mode="null")[1:-1]
        room -= len(pair) + 1
        if room < 0:
            break
        kept.append(pair)
    return (b"{" + b",".join(kept) + b"}").decode() if kept else None


def flags_json(flags: list[str]) -> str | None:
    """Give what was altered on the way in as JSON."""
    return to_json(flags).decode() if flags else None


def canonical(value: object) -> bytes:
    """Give the bytes that stand for a value whatever the order of its names."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
