"""The mail about alerts that is sent where the templates fail. It uses nothing but the alerts themselves: it must work when all else is broken. Pure."""

import html
from collections.abc import Sequence

from app.compose.render import RenderedMail
from app.domain.mail_views import AlertView
from app.domain.notice import NoticeKind

_MOST, _LONGEST, _SUBJECT = 200, 500, 120
_TROUBLE = (
    "This mail is plain because the templates of this service fail; its log says why. Please tell its administrator."
)
_STATES = {NoticeKind.OPENED: "", NoticeKind.REPEATED: "STILL "}


def render(views: Sequence[AlertView], *, base_url: str) -> RenderedMail:
    """Return a mail that names each alert, as far as there is room, and what it is about."""
    first = views[0]
    more = f" and {len(views) - 1} more" if len(views) > 1 else ""
    lines = [_TROUBLE]
    for view in views[:_MOST]:
        alert = view.alert
        about = [_headline(view), f"since {alert.since:%Y-%m-%d %H:%M} UTC; {view.reason}", alert.message or ""]
        lines += ["", *(_line(text, _LONGEST) for text in about if text), f"{base_url}/v1/alerts/{alert.id}"]
    if len(views) > _MOST:
        lines += ["", f"{len(views) - _MOST} more: {base_url}"]
    text = "\n".join(lines) + "\n"
    page = f"<!DOCTYPE html><html><body><pre>{html.escape(text)}</pre></body></html>\n"
    subject = _line(_headline(first), _SUBJECT - len(more)) + more
    headers = (("X-Tocsin", "alert; " + ", ".join(sorted({view.what.value for view in views}))),)
    return RenderedMail(subject, text, page, headers)


def _headline(view: AlertView) -> str:
    kind = view.alert.kind.value.upper().replace("_", " ")
    state = f"{_STATES[view.what]}{kind}" if view.what in _STATES else f"{view.what.value.upper()}: {kind}"
    return f"[{state}] {view.job or view.agent} on {view.agent}, {view.customer}"


def _line(text: str, longest: int) -> str:
    """Return text from outside as one line without control characters."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text[: 4 * longest]).split())
    return line if len(line) <= longest else line[: longest - 3] + "..."
