"""What a mail shows of an unclear text: its first lines, why it is unclear, and two commands that answer what it means. Pure."""

import json
from dataclasses import dataclass
from urllib.parse import quote

from app.compose import phrases
from app.domain.alert import AlertKind
from app.domain.mail_views import AlertView
from app.domain.notice import NoticeKind

_LINE, _BYTES_A_LINE = 200, 200
_ANSWERS = (("If the run succeeded", "success"), ("If the run failed", "failure"))
# By the beginning of the rule that decided (app/intake/language/decision.py): the rules are written for programs.
_WHY = (
    ("nothing stated", "The words “{words}” do not say how the run ended."),
    ("not proven", "The text states a success, but the words “{words}” make it uncertain."),
    ("not about a run", "The words “{words}” suggest that the text is not about a run."),
    ("two statements disagree", "The words “{words}” contradict another statement in the text."),
)
_PROVES_NOTHING = "The words “{words}” prove neither success nor failure."


@dataclass(frozen=True, slots=True)
class UnclearPart:
    """The part of a card about an unclear text. `answers` are (meaning in words, outcome, command)."""

    lines: tuple[str, ...]
    evidence: str
    answers: tuple[tuple[str, str, str], ...]


def unclear_part(view: AlertView, base_url: str, lines: int) -> UnclearPart | None:
    """Return the part of a card for an open unclear alert, with at most `lines` lines of the text; None for any other."""
    if view.alert.kind is not AlertKind.UNCLEAR or view.what is NoticeKind.RECOVERED:
        return None
    event_id = view.alert.event_id
    return UnclearPart(
        lines=_first_lines(view, lines),
        evidence=evidence_of(view),
        answers=tuple((title, outcome, command(base_url, event_id, outcome)) for title, outcome in _ANSWERS)
        if event_id
        else (),
    )


def evidence_of(view: AlertView) -> str:
    """Return why the text is unclear, in one sentence, and the rule that decided."""
    reading = view.reading or {}
    words, rule = (phrases.one_line(reading.get(name, ""), _LINE) for name in ("words", "rule"))
    if not reading:
        return "The sender itself reported that it does not know how the run ended."
    if words:
        why = next((why for beginning, why in _WHY if rule.startswith(beginning)), _PROVES_NOTHING).format(words=words)
    else:
        why = "The text has no words that prove success or failure."
    return f"{why} Rule: {rule}." if rule else why


def teach_url(base_url: str, event_id: str) -> str:
    """Return the address that takes the answer."""
    return f"{base_url}/v1/events/{quote(event_id, safe='', errors='replace')}:teach"


def command(base_url: str, event_id: str, outcome: str) -> str:
    """Return the line to paste into a shell in which ADMIN_KEY is set. It has no single quotes, because cmd.exe does not know them."""
    body = json.dumps({"outcome": outcome}).replace('"', '\\"')
    return (
        f'curl -sS -H "Authorization: Bearer $ADMIN_KEY" -H "Content-Type: application/json" -d "{body}" '
        f"{teach_url(base_url, event_id)}"
    )


def _first_lines(view: AlertView, most: int) -> tuple[str, ...]:
    """Return the subject and the first lines of the body that are not blank; `…` where lines are left out."""
    subject = phrases.one_line(view.alert.message or "", _LINE)
    body = [
        phrases.shorten(line, _LINE)
        for raw in phrases.plain((view.log_head or "").replace("\r", "\n")).split("\n")
        if (line := raw.expandtabs(4).rstrip())
    ]
    if body and body[0].strip() == subject:
        subject = ""
    found = [line for line in (subject, *body) if line]
    shown: list[str] = []
    left = _BYTES_A_LINE * most
    for line in found[:most]:
        left -= len(line.encode()) + 1
        if left < 0:
            break
        shown.append(line)
    return (*shown, "…") if len(found) > len(shown) else tuple(shown)
