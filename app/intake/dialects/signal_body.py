"""Read what the body of a signal adds to its address: the JSON of Bacula's scripts, a sentence, or any backup's log.

The address comes first. A body can name the activity, add amounts, and make an outcome worse, never better.
"""

from dataclasses import dataclass, field

from app.intake.dialects.body_fields import parse_json_object
from app.intake.language.log_errors import find_log_errors
from app.intake.language.reader import Meaning, read_words

_MAX_JSON_LENGTH = 64 * 1024
MAX_SIGNAL_MESSAGE = 300
_MAX_MESSAGE_LINES = 5
BY_SEVERITY = ("success", "cancelled", "warning", "failure")


@dataclass(frozen=True, slots=True)
class SignalBody:
    """What a body reports. None where it reports nothing."""

    outcome: str | None = None
    phase: str | None = None
    activity: str | None = None
    message: str | None = None
    job: str | None = None
    metrics: dict[str, object] = field(default_factory=dict)


def read_signal_body(text: str, *, is_success: bool) -> SignalBody:
    """Read a body that is neither empty nor Backrest's, which backrest.py reads. `is_success`: the address reports a success."""
    if text.lstrip()[:1] == "{" and (reported := _read_bacula(text)) is not None:
        return reported
    errors = find_log_errors(text)
    if errors is None:
        return _read_message(text.strip()) if is_success else SignalBody()
    more = f" ({errors.count} such lines)" if errors.count > 1 else ""
    return SignalBody("warning", message=f"the log contains errors: {errors.line}{more}")


def _read_message(text: str) -> SignalBody:
    """Read a short message of a script that calls the address of a success although the message reports trouble.

    A longer text is a log, in which any word can stand for something else.
    """
    if not text or len(text) > MAX_SIGNAL_MESSAGE or text.count("\n") >= _MAX_MESSAGE_LINES:
        return SignalBody()
    single = "\n" not in text
    reading = read_words(text) if single else read_words("", text)
    words = (text if single else reading.words)[:MAX_SIGNAL_MESSAGE]
    match reading.meaning:
        case Meaning.FAILURE:
            return SignalBody("failure", message=words)
        case Meaning.WARNING | Meaning.CANCELLED:
            return SignalBody("warning", message=f"a success with the message: {words}"[:MAX_SIGNAL_MESSAGE])
        case _:
            return SignalBody()


def judge_signal(outcome: str | None, *texts: str | None) -> SignalBody:
    """Return the outcome of a signal's address, and for a success the worst that a text next to it admits, with its line."""
    if outcome != "success":
        return SignalBody(outcome)
    found = [body for text in texts if text and (body := read_signal_body(text, is_success=True)).outcome is not None]
    return max(found, key=lambda body: BY_SEVERITY.index(body.outcome or ""), default=SignalBody(outcome))


def _read_bacula(text: str) -> SignalBody | None:
    """Read the JSON that scripts make of Bacula's `%e` and `%l`; unquoted, `OK -- with warnings` is spread over the fields."""
    fields = parse_json_object(text, _MAX_JSON_LENGTH)
    if not isinstance(fields.get("status"), str):
        return None
    words = " ".join(str(value) for value in fields.values() if isinstance(value, str))[:1000].lower()
    status: str = fields["status"].strip()
    message = f"status {status}"[:MAX_SIGNAL_MESSAGE]
    if status.lower().startswith(("fatal", "error", "fail", "down", "critical")):
        return SignalBody("failure", message=message)
    if status.lower().startswith("warn") or "with warnings" in words:
        return SignalBody("warning", message="it ended OK, with warnings")
    return SignalBody("cancelled", message=message) if status.lower().startswith("cancel") else SignalBody()
