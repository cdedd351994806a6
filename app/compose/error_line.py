"""Finds the one line that says what went wrong, in what a backup said. Pure."""

import re

from app.compose import phrases
from app.domain.mail_views import AlertView

_LIMIT = 500
_BAD = re.compile(r"\b(fatal|error|failed|failure|denied|cannot|unable|no space)\b", re.IGNORECASE)
_NO_BAD = re.compile(r"\b(0|no|without) (errors?|failures?|failed)\b", re.IGNORECASE)
# Words and stamps in front that the state in the subject says already: "2026-11-24 02:10:03 [ERROR] Fatal: ".
_IN_FRONT = re.compile(
    r"^(?:[\d:.,/TZ+-]{8,}\s+){0,3}(?:\[?(?:fatal|error|critical|failed|warning|warn)\]?\s*[:!]\s*|\[(?:fatal|error|warning)\]\s+){1,3}",
    re.IGNORECASE,
)


def error_line(story: AlertView) -> str:
    """Give the error as one line, its message's or else its log's; for a recovered alert what it was. May be empty."""
    return best_line(story.alert.message or "") or _worded(
        _best(list(reversed(phrases.tail(story.log_tail or "", 20, 2048))))
    )


def best_line(message: str) -> str:
    """Give the line of a message that says what went wrong, else its first; empty if it has none."""
    lines = [line for line in phrases.plain(message[:4000]).split("\n") if line.strip()]
    return _worded(_best(lines) or (lines[0] if lines else ""))


def _worded(found: str) -> str:
    line = phrases.one_line(found, _LIMIT)
    return _IN_FRONT.sub("", line) or line


def _best(lines: list[str]) -> str:
    return next((line for line in lines if _BAD.search(line[:_LIMIT]) and not _NO_BAD.search(line[:_LIMIT])), "")
