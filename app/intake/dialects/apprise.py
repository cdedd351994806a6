"""Apprise's notifications as JSON, XML or form, and those for Apprise's own API: a title, a text, and a type.

Source: https://github.com/caronc/apprise/wiki/Notify_Custom_JSON. The type decides where it names a result, unless the words report
trouble. `info` is also the default type, so for `info` the words name the result.
"""

import html
import re
from collections.abc import Mapping, Sequence

from app.intake.dialects.body_fields import as_text, read_form_body, read_json_body
from app.intake.dialects.cut_texts import keep_beginning
from app.intake.dialects.make_event import make_event
from app.intake.dialects.message import choose_message, read_message, read_report_within
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.language.reader import Meaning, read_words
from app.intake.parse import WireEvent

TOOL = "apprise"
_OUTCOMES = {"success": "success", "warning": "warning", "failure": "failure", "error": "failure"}
_FIELDS = ("title", "message", "body", "type")
_XML_TAGS = {"title": "Subject", "message": "Message", "type": "MessageType"}
_MAX_TEXT = 1024 * 1024
_BORGMATIC_LOG = "Pinging Apprise services"


def read(request: ToolRequest) -> Sequence[WireEvent]:
    """Return the event of one notification. Raises NotUnderstood for one without title and text."""
    fields = _read_fields(request)
    title, text = fields.get("title", "").strip(), (fields.get("message") or fields.get("body") or "").strip()
    if not title and not text:
        raise NotUnderstood("a notification without title and text")
    if (events := read_report_within(title, text, request)) is not None:
        return events
    agent, job = request.query_value("agent"), request.job or request.query_value("job") or TOOL
    kind = fields.get("type", "").strip().lower()
    stated = _OUTCOMES.get(kind)
    if (
        stated is None and "\n" in text and _BORGMATIC_LOG in text
    ):  # its log so far; the outcome comes in a message of its own
        return [make_event(TOOL, agent=agent, job=job, message=title, log=text)]
    reading = read_message(title, text, request, stated=stated, job=job)
    if kind == "info" and reading.rule.startswith("marks"):  # no more than that all is well: a mark ends no run
        return [make_event(TOOL, agent=agent, job=job, message=title or None, log=text or None)]
    first = text.partition("\n")[0]
    message = choose_message(reading, title, text)
    if message == title and _is_unclear(title) and not _is_unclear(first):  # a title such as `Ping!` says nothing
        message = first
    return [make_event(TOOL, agent=agent, job=job, message=message, log=text or None, reading=reading)]


def _is_unclear(line: str) -> bool:
    return read_words(line[:1000]).meaning is Meaning.UNCLEAR


def _read_fields(request: ToolRequest) -> Mapping[str, str]:
    """Return the fields by what the body is, not by its declared type."""
    if found := read_json_body(request):
        return {name: text for name in _FIELDS if (text := as_text(found.get(name)))}
    text = keep_beginning(request.readable_text, _MAX_TEXT)
    if text.lstrip()[:1] == "<":
        return {name: value for name, tag in _XML_TAGS.items() if (value := _text_in_tag(tag, text))}
    form = {**dict(request.query), **read_form_body(request)}
    fields = {name: value for name, value in form.items() if name in _FIELDS and value}
    return fields if fields.keys() & {"title", "message", "body"} else {"message": text}


def _text_in_tag(tag: str, text: str) -> str:
    begin = re.search(rf"<{tag}>", text)
    end = text.find(f"</{tag}>", begin.end()) if begin else -1
    return html.unescape(text[begin.end() : end]) if begin and end >= 0 else ""
