"""The form of a text: what stays the same each time a tool sends it. Numbers, dates, times, ids and sizes are replaced by `*`. Pure.

Two texts of one form say the same with other figures, so a decision about one of them holds for the other. Where the figure is the
answer, it stays: "0 errors" and "3 errors", "5 of 5" and "3 of 5", "100 %" and "97 %", exit code 0 and 2 are different forms.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

SUBJECT_MOST, BODY_MOST = 480, 1900  # characters of a form
STARS_MOST = 45  # of the subject, and of the body; the rest of the text is one more star
_READ_MOST = 4  # characters that are read for each character of the form
BODY_READ = BODY_MOST * _READ_MOST + 1  # characters of a body that its form depends on
# Whole names only: of "3 marked as bad", nothing is a month. English, German, French, Spanish, Italian, Dutch, Portuguese.
_MONTH = (
    "(?:jan(?:uary|uar|vier|uari|eiro)?|enero|gennaio|feb(?:ruary|ruar|rero|braio|ruari)?|f[eé]v(?:rier|ereiro)?"
    "|mar(?:ch|s|zo|ço)?|m[aä]rz|maart|mrt|apr(?:il|ile)?|avr(?:il)?|abr(?:il)?|ma[iy]|mei|mayo|maggio|maio"
    "|june?|juni|juin|junio|giugno|junho|jul(?:y|i|io|ho)?|juillet|luglio|aug(?:ust|ustus)?|août|agosto"
    "|sep(?:t|tember|tembre|tiembre)?|settembre|setembro|o[ck]t(?:ober|obre|ubre)?|ottobre|outubro"
    "|nov(?:ember|embre|iembre|embro)?|de[cz](?:ember|embre|embro)?|d[eé]cembre|diciembre|dicembre)"
)
_WEEKDAY = "(?:mon|tue|wed|thu|fri|sat|sun)(?:day|sday|nesday|rsday|urday)?|(?:mo|di|mi|do|fr|sa|so)\\."
_UNIT = (
    "(?:[kmgtp]i?b|bytes?|b|%|ms|s|sec|secs|seconds?|m|min|mins|minutes?|h|hrs?|hours?|d|days?"
    "|sek|sekunden?|std|stunden?|tage?n?)"
)
_OF = r"/|of|out of|von|aus|sur|de|di|su|van|z|ze|av|из|個中|个中|件中|中"
_CHANGING = re.compile(
    "|".join(
        (
            rf"(?:(?:{_WEEKDAY}),? )?\b\d{{1,2}}(?:st|nd|rd|th|\.)? {_MONTH}\b\.?,?(?: \d{{4}}\b)?",  # 26 November 2026
            rf"(?:(?:{_WEEKDAY}),? )?\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?\b(?:,? \d{{4}}\b)?",  # Nov 26, 2026
            r"\b\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[t_ ]?\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:[.,]\d{1,9})?)?(?:z\b|[+-]\d{2}:?\d{2}\b)?",
            # A count of a whole, "3 of 5": a part and all are different answers.
            rf"\b(?P<part>\d{{1,12}}) ?(?:{_OF}) ?(?P<whole>\d{{1,12}})(?![\d.,:])",
            # What a number names rather than counts: "exit code 2" and "exit code 3" are different answers.
            r"\b(?P<named>(?:exit|code|status|state|rc|result|errno|level)(?: ?[=:#] ?| )\d{1,6}\b)",
            r"(?P<all>\b100(?:[.,]0{1,3})? ?%)",
            r"\b\d{1,3}:\d{2}(?::\d{2})?(?:[.,]\d{1,9})?(?: ?[ap]\.?m\b)?",  # 02:10:33
            r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",  # a UUID
            r"\b(?=[a-z]{0,40}\d)(?=\d{0,40}[a-z])[0-9a-f]{7,64}\b",  # a hash: digits and letters a to f
            rf"\b\d{{1,20}}(?:[.,'\u00a0\u202f ]\d{{3}}\b){{0,6}}(?:[.,]\d{{1,20}})?(?: ?{_UNIT}(?![^\W_]))?",
            r"\d{3,20}",  # within a word: backup20261126, job_4711
        )
    ),
    re.IGNORECASE,
)
_STARS = re.compile(r"\*(?:[ :,.+/-]{0,3}\*)+")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class TextForm:
    """The form of a subject and of the beginning of a body, each on one line. Both are globs that their own text matches."""

    subject: str
    body: str = ""

    @property
    def key(self) -> str:
        """Return a short key that is equal for texts of one form, whatever their case."""
        return hashlib.sha256(f"{self.subject}\n{self.body}".casefold().encode("utf-8", "surrogatepass")).hexdigest()[
            :32
        ]


def form_of(subject: str, body: str = "") -> TextForm:
    """Return the form of a text. Only the beginning of a long body counts: the rest is one star."""
    # One character more than is read shows whether there is more.
    return TextForm(
        _form(subject[: SUBJECT_MOST * _READ_MOST + 1], SUBJECT_MOST),
        _form(body[: BODY_MOST * _READ_MOST + 1], BODY_MOST),
    )


@lru_cache(256)  # each taught rule asks for the form of the same text, and each decision for those that wait
def _form(text: str, most: int) -> str:
    one_line = _SPACES.sub(" ", text[: most * _READ_MOST]).strip()
    form = _STARS.sub("*", _CHANGING.sub(_star, one_line))
    is_cut = len(text) > most * _READ_MOST
    if len(form) > most:
        form, is_cut = form[:most], True
    parts = form.split("*")
    if len(parts) > STARS_MOST + 1:
        form, is_cut = "*".join(parts[: STARS_MOST + 1]), True
    return form.rstrip("*") + "*" if is_cut else form


def _star(found: re.Match[str]) -> str:
    """Return `*`, or the text itself where its number is an answer: zero, a part of a whole, a whole, or an exit code."""
    text = found[0]
    if found["part"] is not None:
        is_all = int(found["part"]) == int(found["whole"]) != 0
        return f"*{text[len(found['part']) : len(text) - len(found['whole'])]}*" if is_all else text
    if found["named"] is not None or found["all"] is not None:
        return text
    return "*" if any(digit not in "0.,'" for digit in text if digit.isdigit()) or ":" in text else text
