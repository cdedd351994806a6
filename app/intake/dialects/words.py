"""Finds the outcome that a sentence of a tool names, or a beginning. It must not guess: a sentence that names none gives none."""

import re

_NONE = r"(?:\b(?:0|no|without|zero)\s{1,3}(?:\w{1,20}\s{1,3})?)"
_BAD = re.compile(
    rf"{_NONE}?\b(?:fail\w*|error\w*|abort\w*|unsuccessful\w*|critical|not (?:complete\w*|done|finish\w*)|could not)",
    re.IGNORECASE,
)
_ODD = re.compile(rf"{_NONE}?\b(?:warn\w*|partial\w*|incomplete|skipped)", re.IGNORECASE)
_GOOD = re.compile(r"\b(?:success\w*|succeed\w*|ok|complete[ds]?|finish(?:ed|es)?|done|passed)\b", re.IGNORECASE)
_BEGINS = re.compile(r"\b(?:start(?:ed|ing|s)?|beg[aiu]ns?)\b", re.IGNORECASE)
_DENIED = re.compile(r"\b(?:0|no|without|zero)\b", re.IGNORECASE)


def outcome_in(text: str) -> str | None:
    """Give the outcome that a sentence names, the worst first; `no errors` names none."""
    for words, outcome in ((_BAD, "failure"), (_ODD, "warning")):
        if any(not _DENIED.match(found[0]) for found in words.finditer(text)):
            return outcome
    return "success" if _GOOD.search(text) else None


def begins_in(text: str) -> bool:
    """Say whether a sentence tells that something begins."""
    return _BEGINS.search(text) is not None
