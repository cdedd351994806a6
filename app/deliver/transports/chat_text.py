"""The text of a message for a chat: short, with a mark and a link. Pure.

No text of an event mentions anybody or makes a link with another text: Apprise's services read both, each in its own way.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime

from app.deliver.transports.document_alerts import BadDocument, DocumentAlert, read_alerts

_MARKS = {"critical": "🔴", "error": "🔴", "warning": "🟠", "info": "🔵"}
_GOOD, _TAKEN, _SUMMARY = "🟢", "🟡", "📋"
_MOST, _LONGEST = 10, 200
_MARKUP = re.compile(
    r"@(?=(?:everyone|here|channel|all|room)\b)|(?<![\w.+-])@(?=\w)|<(?=[@!#&]|at\b|users/|[a-z]+:)|\](?=\()",
    re.IGNORECASE,
)
_BREAK = "\N{ZERO WIDTH SPACE}"


def chat_text(body: bytes, ended: Mapping[str, datetime]) -> tuple[str, str, str]:
    """Return title, text, and the kind of notification that Apprise knows: failure, warning, success or info. Raises BadDocument."""
    try:
        alerts = read_alerts(body, ended)
    except BadDocument:
        return _other(body)
    first = alerts[0]
    lines = [_line(one) for one in alerts[:_MOST]]
    if len(alerts) == 1:  # the title already says what it is about: many services show both, one above the other
        message = "" if first.is_over else one_line(first.fields["message"], _LONGEST)
        lines = [f"{message}\n{first.fields['url']}".strip()]
    if len(alerts) > _MOST:
        lines.append(f"… and {len(alerts) - _MOST} more")
    if all(one.is_over for one in alerts):
        kind = "success"
    else:
        kind = (
            "failure"
            if any(one.fields["severity"] in ("critical", "error") for one in alerts if not one.is_over)
            else "warning"
        )
    title = (
        f"{_mark(first)} {_name(first)}: {_state(first)}"
        if len(alerts) == 1
        else f"{_mark(first)} {len(alerts)} alerts"
    )
    return one_line(title, _LONGEST), "\n".join(lines), kind


def one_line(text: str, most: int) -> str:
    """Return a text on one line, without control characters and with no mention: a title can become a header there."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text.encode("utf-8", "replace").decode())
    words = " ".join(plain.split())
    short = words if len(words) <= most else words[: most - 1] + "…"
    return _MARKUP.sub(lambda found: found[0] + _BREAK, short)


def _other(body: bytes) -> tuple[str, str, str]:
    try:
        document = json.loads(body)
        data, kind = document["data"], document["type"]
        subject = one_line(str(data.get("subject") or "A test message of Tocsin"), _LONGEST)
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise BadDocument("the message is no document of ours") from cause
    return f"{_SUMMARY} {subject}", subject, "success" if kind == "summary" and not data.get("failed") else "info"


def _line(alert: DocumentAlert) -> str:
    words = f"{_mark(alert)} {_name(alert)}: {_state(alert)}"
    message = alert.fields["message"]
    if message and not alert.is_over:
        words += f": {message}"
    return f"{one_line(words, _LONGEST)}\n{alert.fields['url']}"


def _name(alert: DocumentAlert) -> str:
    return " ".join(part for part in (alert.fields["agent"], alert.fields["job"]) if part) or alert.fields["customer"]


def _state(alert: DocumentAlert) -> str:
    if alert.is_over:
        return "over"
    return "acknowledged" if alert.what.value == "acknowledged" else alert.fields["trouble"]


def _mark(alert: DocumentAlert) -> str:
    if alert.is_over:
        return _GOOD
    return _TAKEN if alert.what.value == "acknowledged" else _MARKS.get(alert.fields["severity"], "🔴")
