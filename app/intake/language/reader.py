"""Read what a text says of a run: success, trouble, a start, or nothing that is proven."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

_NEGATION = r"(?:\b(?:0|no|without|zero)\s{1,3}(?:\w{1,20}\s{1,3})?)"
_FAILURE = re.compile(
    rf"{_NEGATION}?\b(?:fail\w*|error\w*|abort\w*|unsuccessful\w*|critical|not (?:complete\w*|done|finish\w*)|could not)",
    re.IGNORECASE,
)
_WARNING = re.compile(rf"{_NEGATION}?\b(?:warn\w*|partial\w*|incomplete|skipped)", re.IGNORECASE)
_SUCCESS = re.compile(r"\b(?:success\w*|succeed\w*|ok|complete[ds]?|finish(?:ed|es)?|done|passed)\b", re.IGNORECASE)
_START = re.compile(r"\b(?:start(?:ed|ing|s)?|beg[aiu]ns?)\b", re.IGNORECASE)
_NEGATED = re.compile(r"\b(?:0|no|without|zero)\b", re.IGNORECASE)


class Meaning(StrEnum):
    """What a text says of a run. The values are those of RunOutcome where it has the same."""

    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    CANCELLED = "cancelled"
    STARTED = "started"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text means, the words of it that decided (at most 200 characters), and a stable name of the rule."""

    meaning: Meaning
    words: str
    rule: str


def read_words(subject: str, body: str = "", *, names: Collection[str] = ()) -> Reading:
    """Return what subject and body say together. `names` of agents, jobs and hosts are no words: they never decide.

    Never raises. Trouble may be suspected from one word; a success must be stated by a clause with nothing against it.
    """
    text = f"{subject}\n{body}"
    for name in names:
        text = text.replace(name, " ")
    for pattern, meaning in ((_FAILURE, Meaning.FAILURE), (_WARNING, Meaning.WARNING)):
        for found in pattern.finditer(text):
            if not _NEGATED.match(found[0]):
                return Reading(meaning, found[0][:200], f"en: {found[0].lower()[:40]}")
    for pattern, meaning in ((_SUCCESS, Meaning.SUCCESS), (_START, Meaning.STARTED)):
        for found in pattern.finditer(text):
            return Reading(meaning, found[0][:200], f"en: {found[0].lower()[:40]}")
    return Reading(Meaning.UNCLEAR, "", "no words found")
