"""ntfy's messages: a title, a text, tags and a priority, in headers, in the query, or as JSON. Source: https://docs.ntfy.sh/publish/.

The topic names the job if the key does not belong to one. Tags name an outcome, and so do the two highest priorities.
"""

from collections.abc import Mapping, Sequence

from app.domain.event import STATUS_FIELD
from app.intake.dialects.body_fields import as_text, read_json_body
from app.intake.dialects.make_event import make_event
from app.intake.dialects.message import choose_message, read_message, read_report_within
from app.intake.dialects.text_decoding import decode_encoded_words, decode_header_value
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.language.reader import Meaning, Reading
from app.intake.parse import WireEvent

TOOL = "ntfy"
# Each field by every name that ntfy accepts, in headers (lower case) and in the query.
_NAMES = {
    "title": ("x-title", "title", "ti", "t"),
    "message": ("x-message", "message", "m"),
    "priority": ("x-priority", "priority", "prio", "p"),
    "tags": ("x-tags", "tags", "tag", "ta"),
}
# The outcome by tags, the worst one first.
_TAG_OUTCOMES = (
    (frozenset({"x", "rotating_light", "skull", "no_entry", "no_entry_sign", "-1", "fire", "sos", "error", "failure", "failed",
                "triangular_flag_on_post", "negative_squared_cross_mark"}), "failure"),
    (frozenset({"warning", "heavy_exclamation_mark"}), "warning"),
    (frozenset({"heavy_check_mark", "white_check_mark", "ballot_box_with_check", "+1", "tada", "partying_face", "success", "ok"}), "success"),
)  # fmt: skip
_SEVERITIES = {"4": "error", "high": "error", "5": "critical", "max": "critical", "urgent": "critical"}
_ACTIONS = ("publish", "send", "trigger")


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the events of one message. `path` is what follows the server: [topic,] [publish].

    Raises NotUnderstood for a message without title and text.
    """
    fields = _read_fields(request)
    title, text = fields["title"].strip(), fields["message"].strip()
    if not title and not text:
        raise NotUnderstood("a message without title and text")
    if (events := read_report_within(title, text, request)) is not None:
        return events
    job = request.job or request.query_value("job") or fields["topic"] or TOOL
    tags = {tag.strip().lower() for tag in fields["tags"].split(",")}
    by_tags = next((outcome for known, outcome in _TAG_OUTCOMES if known & tags), None)
    reading = read_message(title, text, request, stated=by_tags, job=job)
    severity = _SEVERITIES.get(fields["priority"].strip().lower()) if reading.meaning is Meaning.UNCLEAR else None
    if severity is not None:
        reading = Reading(Meaning.FAILURE, f"priority {fields['priority'].strip()}"[:200], STATUS_FIELD)
    return [
        make_event(
            TOOL,
            agent=request.query_value("agent"),
            job=job,
            severity=severity,
            message=choose_message(reading, title, text),
            log=text or None,
            reading=reading,
        )
    ]


def _read_fields(request: ToolRequest) -> Mapping[str, str]:
    topic = next((part for part in request.path if part not in _ACTIONS), "")
    found = read_json_body(request) if not topic else {}
    if found:
        tags = found.get("tags")
        listed = ",".join(str(tag) for tag in tags) if isinstance(tags, list) else as_text(tags)
        fields = {name: as_text(found.get(name)) or "" for name in ("title", "message", "priority", "topic")}
        return {**fields, "tags": listed or ""}
    fields = {name: _read_parameter(request, names) for name, names in _NAMES.items()}
    return {**fields, "message": request.readable_text or fields["message"].replace("\\n", "\n"), "topic": topic}


def _read_parameter(request: ToolRequest, names: Sequence[str]) -> str:
    """Return a field from the headers, else from the query. Headers hold UTF-8, against HTTP's rule, or RFC 2047 encoded words."""
    for name in names:
        if value := request.headers.get(name):
            return decode_encoded_words(decode_header_value(value))
    return next((value for name, value in request.query if name.lower() in names and value), "")
