"""Find how a CloudEvent says that its work ended: by the fields of its data, then by the words of its type. Trouble in either wins.

`finished` and `completed` in a type say only that it ended. What neither field nor word proves is unclear.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from app.domain.event import STATUS_FIELD
from app.intake.dialects.body_fields import as_text
from app.intake.dialects.values import parse_number
from app.intake.language.reader import Meaning, Reading, read_words

STATES = ("outcome", "status", "state", "result", "event", "conclusion", "phase")
# A state that says that nobody knows: then a type's word of success is not believed.
_UNKNOWN = frozenset({"unknown", "undetermined", "indeterminate", "inconclusive"})
_YES, _NO = frozenset({"true", "yes", "y", "1"}), frozenset({"false", "no", "n", "0"})
_FLAGS = {"success": True, "succeeded": True, "ok": True, "failed": False, "failure": False, "error": False}
_EXIT_CODES = ("exit_code", "exitcode", "exitCode", "rc", "return_code", "returncode")
_COUNTS = ("errors", "error_count", "errorCount", "files_failed", "failed")
_PROGRESS = frozenset({"progress", "progressed", "updated", "update"})
_STARTED = frozenset(
    {"started", "start", "starting", "begun", "begin", "running", "queued", "pending", "in_progress", "inprogress"}
)
_ENDED = frozenset({"finished", "finish", "completed", "complete", "ended", "end", "done", "stopped", "closed"})
_MEANINGS = {
    **dict.fromkeys(("success", "succeeded", "successful", "ok", "passed", "good", "pass"), Meaning.SUCCESS),
    **dict.fromkeys(("warning", "warned", "partial", "partially", "incomplete", "degraded", "skipped"), Meaning.WARNING),
    **dict.fromkeys(
        (
            "failure", "failed", "fail", "fails", "failing", "error", "errored", "errors", "fatal", "unsuccessful", "timeout", "timedout",
            "crashed", "killed", "lost", "missed", "missing", "overdue", "rejected", "denied", "expired", "broken", "corrupt", "corrupted",
            "unreachable", "unhealthy", "stalled", "hung", "late", "aborted", "terminated", "interrupted",
        ),
        Meaning.FAILURE,
    ),
    **dict.fromkeys(("cancelled", "canceled", "cancel"), Meaning.CANCELLED),
}  # fmt: skip
_NEGATIONS = frozenset({"not", "no", "never", "un", "without", "didnt", "cannot", "unable"})
# A word of a status that is only an end; as a status of its own, next to no other field, tools mean a success by it.
_ENDED_WELL = frozenset({"finished", "completed", "complete", "done"})
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_VERSION = re.compile(r"v\d{1,6}")
_RANK = (Meaning.FAILURE, Meaning.WARNING, Meaning.CANCELLED, Meaning.STARTED, Meaning.SUCCESS)


class EventResult(NamedTuple):
    """The phase, if the event ends nothing, and what was read of an end or a start."""

    phase: str | None
    reading: Reading | None


def words_of_type(event_type: str) -> Sequence[str]:
    """Return the words of a type in lower case, without versions: `BackupTimedOut.v1` and `backup.timedOut.0.2.0` have three."""
    words = re.split(r"[^a-z0-9]+", _CAMEL.sub("_", event_type[:500]).lower())
    return [word for word in words if word and not word.isdecimal() and not _VERSION.fullmatch(word)]


def find_result(words: Sequence[str], content: Mapping[str, Any], text: str) -> EventResult:
    """Return what a type's words, the fields of the data, or a text in the place of data say."""
    found = list(_read_fields(content))
    by_type = _read_type(words)
    if by_type is not None:
        found.append(by_type)
    if text.strip():
        by_text = read_words(text)
        if by_text.meaning is not Meaning.SUCCESS or not found:
            found.append(by_text)
    if any(one.meaning is Meaning.UNCLEAR and one.words.rpartition(": ")[2] in _UNKNOWN for one in found):
        found = [one for one in found if one.meaning is not Meaning.SUCCESS]
    best = min((one for one in found if one.meaning in _RANK), key=lambda one: _RANK.index(one.meaning), default=None)
    if best is not None:
        return EventResult(None, best)
    if not found and _PROGRESS & set(words):
        return EventResult("progress", None)
    ended = next((word for word in words if word in _ENDED), "")
    return EventResult(
        None,
        next(iter(found), Reading(Meaning.UNCLEAR, ended, "an end without a result" if ended else "no words found")),
    )


def _read_fields(content: Mapping[str, Any]) -> Iterator[Reading]:
    """Yield what each field of the data says."""
    for name in STATES:
        if state := as_text(content.get(name)):
            yield _read_state(name, state)
    for name, is_good in _FLAGS.items():
        # Shells send a flag as a text: `"success": "no"`. A number other than 0 and 1 is a count.
        flag = content.get(name)
        word = str(flag).strip().lower() if isinstance(flag, bool | int | str) else ""
        value = True if word in _YES else False if word in _NO else None
        if value is not None:
            meaning = Meaning.SUCCESS if value is is_good else Meaning.FAILURE
            if is_good or meaning is Meaning.FAILURE:  # `failed: false` is no success by itself
                yield Reading(meaning, f"{name}: {str(value).lower()}", STATUS_FIELD)
    code = next((number for name in _EXIT_CODES if (number := parse_number(content.get(name))) is not None), None)
    if code is not None:
        yield Reading(Meaning.SUCCESS if code == 0 else Meaning.FAILURE, f"exit code {code:g}", STATUS_FIELD)
    for name in _COUNTS:
        value = content.get(name)
        count = len(value) if isinstance(value, list) else parse_number(value)
        if count is not None and count > 0:
            yield Reading(Meaning.WARNING, f"{name}: {count:g}", STATUS_FIELD)
        elif isinstance(value, str) and count is None and value.strip():
            yield Reading(Meaning.FAILURE, f"{name}: {value}"[:200], STATUS_FIELD)


def _read_state(name: str, state: str) -> Reading:
    word = state.strip().lower()
    if word in _STARTED:
        return Reading(Meaning.STARTED, word, STATUS_FIELD)
    if word in _ENDED_WELL:
        # `state: finished` is the end of a life cycle; as a status or an outcome, `completed` is a result.
        is_result = name in ("outcome", "result", "status", "conclusion") and word != "finished"
        return Reading(Meaning.SUCCESS if is_result else Meaning.UNCLEAR, f"{name}: {word}", STATUS_FIELD)
    if word in _UNKNOWN:
        return Reading(Meaning.UNCLEAR, f"{name}: {word}", STATUS_FIELD)
    meaning = _MEANINGS.get(word)
    return read_words(state) if meaning is None else Reading(meaning, f"{name}: {word}", STATUS_FIELD)


def _read_type(words: Sequence[str]) -> Reading | None:
    """Return what a type says; None if it says only that something ended, or nothing."""
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        known = word in _MEANINGS or word in _ENDED or word in _STARTED
        if known and before in _NEGATIONS and _MEANINGS.get(word) is not Meaning.FAILURE:
            return Reading(Meaning.FAILURE, f"{before} {word}", STATUS_FIELD)
        if word == "out" and before in ("timed", "time"):
            return Reading(Meaning.FAILURE, "timed out", STATUS_FIELD)
    for word in reversed(words):
        if (meaning := _MEANINGS.get(word)) is not None:
            return Reading(meaning, word, STATUS_FIELD)
        if word in _STARTED:
            return Reading(Meaning.STARTED, word, STATUS_FIELD)
    suspected = read_words(" ".join(words))
    return suspected if suspected.meaning in (Meaning.FAILURE, Meaning.WARNING, Meaning.CANCELLED) else None
