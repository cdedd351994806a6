"""Apprise's notifications as JSON, XML or form, and those for Apprise's own API: a title, a text, and a type.

Source: https://github.com/caronc/apprise/wiki/Notify_Custom_JSON. The type decides where it names a result. `info` is also the
default type, so for `info` the title can name the result.
"""

import html
import re
from collections.abc import Mapping, Sequence

from app.intake.dialects.body_fields import as_text, read_form_body, read_json_body
from app.intake.dialects.make_event import make_event
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.wording import announces_start, find_log_errors, find_outcome
from app.intake.parse import WireEvent

TOOL = "apprise"
_OUTCOMES = {"success": "success", "warning": "warning", "failure": "failure", "error": "failure"}
_FIELDS = ("title", "message", "body", "type")
_XML_TAGS = {"title": "Subject", "message": "Message", "type": "MessageType"}
_MAX_TEXT, _MAX_WORDS = 1024 * 1024, 300


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the event of one notification. Raises NotUnderstood for one without title and text."""
    fields = _read_fields(request)
    title, text = fields.get("title", "").strip(), (fields.get("message") or fields.get("body") or "").strip()
    if not title and not text:
        raise NotUnderstood("a notification without title and text")
    first = text.partition("\n")[0]
    by_title, by_first = find_outcome(title[:_MAX_WORDS]), find_outcome(first[:_MAX_WORDS])
    outcome = _OUTCOMES.get(fields.get("type", "").strip().lower()) or by_title
    is_start = outcome is None and by_first is None and announces_start(f"{title}\n{first}"[:_MAX_WORDS])
    if outcome is None and not is_start and "\n" not in text:  # the first line of a log does not state the result
        outcome = by_first
    is_in_first = not title or (by_title is None and (by_first is not None or announces_start(first[:_MAX_WORDS])))
    errors = find_log_errors(text) if outcome == "success" else None
    return [
        make_event(
            TOOL,
            agent=request.query_value("agent"),
            job=request.job or request.query_value("job") or TOOL,
            phase="started" if is_start else "finished" if outcome else None,
            outcome="warning" if errors else outcome,
            message=errors.line if errors else first if is_in_first and first else title,
            log=text or None,
        )
    ]


def _read_fields(request: ToolRequest) -> Mapping[str, str]:
    """Return the fields by what the body is, not by its declared type."""
    if found := read_json_body(request):
        return {name: text for name in _FIELDS if (text := as_text(found.get(name)))}
    text = request.readable_text[:_MAX_TEXT]
    if text.lstrip()[:1] == "<":
        return {name: value for name, tag in _XML_TAGS.items() if (value := _text_in_tag(tag, text))}
    form = {**dict(request.query), **read_form_body(request)}
    fields = {name: value for name, value in form.items() if name in _FIELDS and value}
    return fields if fields.keys() & {"title", "message", "body"} else {"message": text}


def _text_in_tag(tag: str, text: str) -> str:
    begin = re.search(rf"<{tag}>", text)
    end = text.find(f"</{tag}>", begin.end()) if begin else -1
    return html.unescape(text[begin.end() : end]) if begin and end >= 0 else ""
