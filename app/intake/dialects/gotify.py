"""Gotify's messages, as Proxmox and Backrest send them, and any script: a title, a text, a priority. Source: https://gotify.net/api-docs."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.intake.dialects import backrest
from app.intake.dialects.form import form_of
from app.intake.dialects.json_body import object_of, text_in
from app.intake.dialects.make_event import number, told
from app.intake.dialects.proxmox_words import Bulletin, events_of, is_proxmox
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.words import begins_in, outcome_in
from app.intake.parse import WireEvent

TOOL = "gotify"
_FAILURE_FROM, _WARNING_FROM = 8, 5


def read(said: ToolRequest) -> Sequence[WireEvent]:
    """Give the events of one message. Raises NotUnderstood for one without a word in it."""
    given = fields_of(said)
    title, text = text_in(given.get("title")) or "", _unfenced(text_in(given.get("message")) or "")
    if not title and not text:
        raise NotUnderstood("a message without title and text")
    if is_proxmox(title):
        host = said.asked("agent") or ""
        return events_of(Bulletin(title, text, host=host, job=said.job or said.asked("job")))
    if backrest.is_backrest(text):
        return [backrest.of_text(text, said)]
    return [_plain(title, text, number(given.get("priority")), said)]


def fields_of(said: ToolRequest) -> Mapping[str, Any]:
    """Give the message's fields: JSON, a form, or the query."""
    return {**dict(said.query), **(object_of(said) or form_of(said))}


def _plain(title: str, text: str, priority: float | None, said: ToolRequest) -> WireEvent:
    by_title, by_text = outcome_in(title[:1000]), outcome_in(text[:1000])
    begins = by_title is None and by_text in (None, "success") and begins_in((title or text)[:1000])
    outcome = None if begins else by_title or by_text
    if outcome is None and not begins and priority is not None and priority >= _WARNING_FROM:
        outcome = "failure" if priority >= _FAILURE_FROM else "warning"
    return told(
        TOOL,
        agent=said.asked("agent"),
        job=said.job or said.asked("job") or TOOL,
        phase="started" if begins else "finished" if outcome else None,
        outcome=outcome,
        message=title or text.partition("\n")[0],
        log=text or None,
    )


def _unfenced(text: str) -> str:
    """Take off the fence that Proxmox puts around its text for Markdown."""
    stripped = text.strip()
    return stripped.removeprefix("```").removesuffix("```").strip("\n") if stripped.startswith("```") else text
