"""Validate one field of an event each: its limits, its allowed words, its default.

Each function returns the value to store. What cannot be used is left out or shortened, and flagged: no field next to an outcome may
cost the report of a failure.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from pydantic_core import PydanticSerializationError, to_json

from app.core.unseen import plain_name, show_unseen
from app.domain.dedupe import OURS
from app.domain.event import CLOCK_OFFSET_S, SENT_AT, Activity, Phase, RunOutcome, Severity
from app.intake.clocks import EARLIEST
from app.intake.language.reader import Meaning, read_words
from app.intake.parse import WireEvent
from app.intake.sanitize import show_all_unseen, strip_escapes, truncate_middle, truncate_text
from programs.protocol import report as protocol

MAX_NAME_LENGTH, MAX_MESSAGE_LENGTH = protocol.NAME_MOST, protocol.MESSAGE_MOST
MAX_LABELS, MAX_LABEL_NAME_LENGTH, MAX_LABEL_VALUE_LENGTH = (
    protocol.LABELS_MOST,
    protocol.LABEL_NAME_MOST,
    protocol.LABEL_VALUE_MOST,
)
MAX_METRICS, MAX_METRIC_NAME_LENGTH = protocol.METRICS_MOST, protocol.METRIC_NAME_MOST
MAX_EXTRA_SIZE = 16 * 1024

T = TypeVar("T")
_TROUBLE = frozenset({Meaning.FAILURE, Meaning.WARNING, Meaning.CANCELLED})
_UNIX_TIME = re.compile(r"-?\d{1,19}(?:\.\d{1,9})?", re.ASCII)
_WHOLE_MOST = 2.0**63
_MOST_SECONDS = 1e11  # the year 5138; a larger number counts thousandths
_KNOWN_FIELDS = frozenset(WireEvent.__annotations__)
_SERVER_OUTCOMES = frozenset({RunOutcome.MISSED.value, RunOutcome.OVERRUN.value, RunOutcome.SUPERSEDED.value})
ACTIVITIES = frozenset(activity.value for activity in Activity)
PHASES = frozenset(phase.value for phase in Phase)
OUTCOMES = frozenset(outcome.value for outcome in RunOutcome) - _SERVER_OUTCOMES
SEVERITIES = frozenset(severity.value for severity in Severity)


def validate_name(value: str | None, flags: list[str]) -> str | None:
    """Return a name on one line, without white space around it; None if it is empty. One that is too long is shortened and flagged."""
    if value is None:
        return None
    if _is_name(value):  # as nearly all are
        return value
    name = limit_name(value)
    if name is None:
        return None
    if len(value) > MAX_NAME_LENGTH < len(to_visible_line(value)):
        flags.append("name_cut")
    return name


def limit_name(value: str | None) -> str | None:
    """Return a name on one line and of limited length; None if it is empty.

    A name that is too long keeps its beginning and gets a hash of the whole, so that two different names stay different.
    """
    if value is None:
        return None
    if _is_name(value):
        return value
    text = to_visible_line(value)
    if len(text) <= MAX_NAME_LENGTH:
        return text or None
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{text[: MAX_NAME_LENGTH - 9]}~{digest}"


def to_visible_line(text: str) -> str:
    """Return a name in its normal form: a line end could add a header to a mail's subject, an unseen character make a second `admin`."""
    return text.strip() if _is_plain(text) else plain_name(strip_escapes(text))


def validate_key(value: str | None, flags: list[str]) -> str | None:
    """Return the agent's own key. One with the prefix of our own keys is left out: such an event would keep ours from being stored."""
    key = validate_name(value, flags)
    if key is None or value is None:
        return None
    if key.startswith(OURS):
        flags.append("key_reserved")
        return None
    if key == value or _is_plain(value) or to_visible_line(value) == value.strip():
        return key
    # Two keys whose difference nobody sees are still two events: taken for a duplicate, a failure would be lost.
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{key[: MAX_NAME_LENGTH - 9]}~{digest}"


def validate_word(value: str | None, field: str, allowed: frozenset[str], flags: list[str]) -> str | None:
    """Return one of the allowed words in lower case; None if the field is absent, blank, or another word, which is flagged."""
    if value is None or value in allowed:
        return value
    word = value.strip().lower()
    if word in allowed:
        return word
    if word:
        flags.append(f"unknown_{field}")
    return None


def validate_outcome(value: str | None, flags: list[str]) -> str | None:
    """Return how the run ended. A word that is not allowed is suspected to mean trouble, and never proves a success.

    `missed`, `overrun` and `superseded` are ours: a sender that knows of a missed run reports a failure.
    """
    if value is None or value in OUTCOMES:
        return value
    outcome = validate_word(value, "outcome", OUTCOMES, flags)
    if outcome is not None or not value.strip():
        return outcome
    if value.strip().lower() in _SERVER_OUTCOMES:
        return RunOutcome.FAILURE.value
    meaning = read_words(value[:200]).meaning
    return meaning.value if meaning in _TROUBLE else RunOutcome.UNCLEAR.value


def validate_time(value: str | None, flags: list[str]) -> datetime | None:
    """Return the time of the sender's clock, in UTC; None if the field is absent, or is no time, which is flagged."""
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        found = _parse_unusual_time(value, flags)
        if found is None:
            return None
        at = found
    if at.tzinfo is None:
        flags.append("no_offset")
        return None
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if at.year > EARLIEST.year else datetime.min.replace(tzinfo=UTC)


def validate_sent_at(value: str | None, flags: list[str]) -> datetime | None:
    """Return when the sender sent the event by its own clock; None if the field is absent, or is no time, which is flagged."""
    if value is None:
        return None
    wrong: list[str] = []
    at = validate_time(value, wrong)
    if wrong and at is None:
        flags.append("sent_at_ignored")
    return at


def _parse_unusual_time(value: str, flags: list[str]) -> datetime | None:
    """Parse what RFC 3339 allows and Python does not: lower-case letters and a leap second; and a Unix time, which is flagged."""
    text = value.strip().upper()
    if _UNIX_TIME.fullmatch(text):
        seconds = float(text)
        while abs(seconds) >= _MOST_SECONDS:  # in milliseconds, microseconds or nanoseconds
            seconds /= 1000
        flags.append("unix_time")
        return datetime.fromtimestamp(seconds, UTC)
    if text[16:19] == ":60":
        text = text[:16] + ":59" + text[19:]
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        if text:
            flags.append("bad_time")
        return None


def limit_message(value: str | None, flags: list[str]) -> str | None:
    """Return the message, shortened if it is too long."""
    if value is None:
        return None
    value = strip_escapes(value)
    if not value.isascii():
        # Twice shortened, so that showing costs no more for a longer text, and what is shown does not exceed the limit.
        value = show_unseen(truncate_text(value, 2 * MAX_MESSAGE_LENGTH))
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
    shown = show_unseen(kept)
    return (kept if shown is kept else truncate_middle(shown, max_size)) or None


def validate_metrics(value: Mapping[str, float] | None, flags: list[str]) -> str | None:
    """Return the metrics as JSON, whole numbers without a decimal point."""
    if not value:
        return None
    kept = _limit_items(value, "metrics", MAX_METRICS, MAX_METRIC_NAME_LENGTH, flags)
    if not _is_plain("".join(kept)):
        kept = _with_plain_names(kept)
    return to_json(
        {
            name: int(number) if number.is_integer() and -_WHOLE_MOST < number < _WHOLE_MOST else number
            for name, number in kept.items()
        }
    ).decode()


def validate_labels(value: Mapping[str, str] | None, flags: list[str]) -> str | None:
    """Return the labels as JSON. A value that is too long is cut and flagged."""
    if not value:
        return None
    if not _is_plain("".join([*value, *value.values()])):
        value = {name: to_visible_line(text) for name, text in _with_plain_names(value).items()}
        if not value:
            return None
    kept = _limit_items(value, "labels", MAX_LABELS, MAX_LABEL_NAME_LENGTH, flags)
    if max(map(len, kept.values())) > MAX_LABEL_VALUE_LENGTH:
        flags.append("labels_cut")
        kept = {label: text[:MAX_LABEL_VALUE_LENGTH] for label, text in kept.items()}
    return to_json(kept).decode()


def _limit_items(
    value: Mapping[str, T], field: str, max_items: int, max_name_length: int, flags: list[str]
) -> Mapping[str, T]:
    """Return the first items, with their names cut where they are too long."""
    if len(value) <= max_items and max(map(len, value)) <= max_name_length:
        return value
    flags.append(f"{field}_cut")
    return {name[:max_name_length]: item for name, item in islice(value.items(), max_items)}


def _is_plain(text: str) -> bool:
    """Return whether a name needs no look, as nearly all do; white space around it does not count."""
    return text.isascii() and text.isprintable() and "  " not in text


def _is_name(text: str) -> bool:
    """Return whether a text is a name as it is stored."""
    return (
        0 < len(text) <= MAX_NAME_LENGTH
        and text.isascii()
        and text.isprintable()
        and "  " not in text
        and text[0] != " "
        and text[-1] != " "
    )


def _with_plain_names(value: Mapping[str, T]) -> dict[str, T]:
    """Return the items under their names in normal form, of two with the same name the first; those without a name are left out."""
    plain: dict[str, T] = {}
    for name, item in value.items():
        plain.setdefault(to_visible_line(name), item)
    plain.pop("", None)
    return plain


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
        if not whole.isascii():
            extra = show_all_unseen(extra)
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
