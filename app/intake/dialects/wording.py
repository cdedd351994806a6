"""Find what a tool's words mean: an outcome or a start in a sentence. Replaced by app.intake.language, dialect by dialect."""

import re

from app.intake.language.log_errors import LogErrors, find_log_errors

__all__ = ["LogErrors", "announces_start", "find_log_errors", "find_outcome"]

_NEGATION = r"(?:\b(?:0|no|without|zero)\s{1,3}(?:\w{1,20}\s{1,3})?)"
_FAILURE = re.compile(
    rf"{_NEGATION}?\b(?:fail\w*|error\w*|abort\w*|unsuccessful\w*|critical|not (?:complete\w*|done|finish\w*)|could not)",
    re.IGNORECASE,
)
_WARNING = re.compile(rf"{_NEGATION}?\b(?:warn\w*|partial\w*|incomplete|skipped)", re.IGNORECASE)
_SUCCESS = re.compile(r"\b(?:success\w*|succeed\w*|ok|complete[ds]?|finish(?:ed|es)?|done|passed)\b", re.IGNORECASE)
_START = re.compile(r"\b(?:start(?:ed|ing|s)?|beg[aiu]ns?)\b", re.IGNORECASE)
_NEGATED = re.compile(r"\b(?:0|no|without|zero)\b", re.IGNORECASE)


def find_outcome(text: str) -> str | None:
    """Return the outcome that a sentence names, the worst one first; `no errors` names none."""
    for pattern, outcome in ((_FAILURE, "failure"), (_WARNING, "warning")):
        if any(not _NEGATED.match(found[0]) for found in pattern.finditer(text)):
            return outcome
    return "success" if _SUCCESS.search(text) else None


def announces_start(text: str) -> bool:
    """Return whether a sentence reports that something starts."""
    return _START.search(text) is not None
