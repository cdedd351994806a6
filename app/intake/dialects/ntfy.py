"""ntfy's messages: a title, a text, tags and a priority, in headers, in the query, or as JSON. Source: https://docs.ntfy.sh/publish/.

The topic names the job if the key does not belong to one. Tags name the outcome where the title does not.
"""

from collections.abc import Mapping, Sequence

from app.intake.dialects import backrest, proxmox
from app.intake.dialects.body_fields import as_text, read_json_body
from app.intake.dialects.make_event import make_event
from app.intake.dialects.text_decoding import decode_encoded_words, decode_header_value
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.wording import announces_start, find_outcome
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
_MAX_WORDS = 1000


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the events of one message. `path` is what follows the server: [topic,] [publish].

    Raises NotUnderstood for a message without title and text.
    """
    fields = _read_fields(request)
    title, text = fields["title"].strip(), fields["message"].strip()
    if not title and not text:
        raise NotUnderstood("a message without title and text")
    agent, job = request.query_value("agent"), request.job or request.query_value("job")
    if proxmox.is_proxmox_title(title):  # from a webhook of Proxmox that sets ntfy's headers
        return proxmox.read_report(proxmox.ProxmoxReport(title, text, host=agent or "", job=job))
    if (event := backrest.read_text(text, request)) is not None:
        return [event]
    tags = {tag.strip().lower() for tag in fields["tags"].split(",")}
    by_tags = next((outcome for known, outcome in _TAG_OUTCOMES if known & tags), None)
    outcome = find_outcome(title[:_MAX_WORDS]) or by_tags
    by_text = find_outcome(text[:_MAX_WORDS])
    # A text that also reports a problem is not a start: the problem must not be lost.
    is_start = outcome is None and by_text in (None, "success") and announces_start(f"{title}\n{text}"[:_MAX_WORDS])
    if outcome is None and not is_start:
        outcome = by_text
    return [
        make_event(
            TOOL,
            agent=agent,
            job=job or fields["topic"] or TOOL,
            phase="started" if is_start else "finished" if outcome else None,
            outcome=outcome,
            severity=None if outcome or is_start else _SEVERITIES.get(fields["priority"].strip().lower()),
            message=title or text.partition("\n")[0],
            log=text or None,
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
