"""Apprise's notifications as JSON, XML or form, and those for Apprise's own API: a title, a text, and a type.

Source: https://github.com/caronc/apprise/wiki/Notify_Custom_JSON. The type is trusted where it says how it went; `info` is also what it
says when nobody chose one, so then the title may tell.
"""

import html
import re
from collections.abc import Mapping, Sequence

from app.intake.dialects.form import form_of
from app.intake.dialects.json_body import object_of, text_in
from app.intake.dialects.log_errors import confessed
from app.intake.dialects.make_event import told
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.words import begins_in, outcome_in
from app.intake.parse import WireEvent

TOOL = "apprise"
_OUTCOMES = {"success": "success", "warning": "warning", "failure": "failure", "error": "failure"}
_FIELDS = ("title", "message", "body", "type")
_XML = {"title": "Subject", "message": "Message", "type": "MessageType"}
_TEXT_MOST, _WORDS_MOST = 1024 * 1024, 300


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the event of one notification. Raises NotUnderstood for one without a word in it."""
    given = _fields(said)
    title, text = given.get("title", "").strip(), (given.get("message") or given.get("body") or "").strip()
    if not title and not text:
        raise NotUnderstood("a notification without title and text")
    first = text.partition("\n")[0]
    by_title, by_first = outcome_in(title[:_WORDS_MOST]), outcome_in(first[:_WORDS_MOST])
    outcome = _OUTCOMES.get(given.get("type", "").strip().lower()) or by_title
    begins = outcome is None and by_first is None and begins_in(f"{title}\n{first}"[:_WORDS_MOST])
    if outcome is None and not begins and "\n" not in text:  # a log's first line is no verdict
        outcome = by_first
    is_in_first = not title or (by_title is None and (by_first is not None or begins_in(first[:_WORDS_MOST])))
    trouble = confessed(text) if outcome == "success" else None
    return [
        told(
            TOOL,
            agent=said.asked("agent"),
            job=said.job or said.asked("job") or TOOL,
            phase="started" if begins else "finished" if outcome else None,
            outcome="warning" if trouble else outcome,
            message=trouble.line if trouble else first if is_in_first and first else title,
            log=text or None,
        )
    ]


def _fields(said: ToolRequest) -> Mapping[str, str]:
    """Give the fields, by what the body is and not by what it is called."""
    if found := object_of(said):
        return {name: text for name in _FIELDS if (text := text_in(found.get(name)))}
    text = said.words[:_TEXT_MOST]
    if text.lstrip()[:1] == "<":
        return {name: value for name, tag in _XML.items() if (value := _in_tag(tag, text))}
    given = {**dict(said.query), **form_of(said)}
    form = {name: value for name, value in given.items() if name in _FIELDS and value}
    return form if form.keys() & {"title", "message", "body"} else {"message": text}


def _in_tag(tag: str, text: str) -> str:
    begin = re.search(rf"<{tag}>", text)
    end = text.find(f"</{tag}>", begin.end()) if begin else -1
    return html.unescape(text[begin.end() : end]) if begin and end >= 0 else ""
