"""Name the job of a mail from its subject: what remains when outcome words, times, counters and marks are removed.

So `Docs failed` and `Photos completed` of one sender are two jobs, and `Backup of pc7 failed` and `Backup of pc7 completed
successfully` are one. If it is uncertain whether a word belongs to the name, it stays: two jobs under one name would close each other's
alerts unnoticed, while one job under two names is visible.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.intake.dialects.mails.subject_words import fold, outcome_terms, replace_unspaced_terms, words_of_kind
from app.intake.dialects.mails.varying import VARIED, replace_varying, without_gateway_tags

_LONGEST, _MOST_WORDS, _LONGEST_CODE = 1000, 120, 3
_QUOTED = re.compile(
    r"\"([^\"\n]{1,200})\"|“([^”\n]{1,200})”|„([^“”\n]{1,200})[“”]|«([^»\n]{1,200})»|(?<![\w])'([^'\n]{1,200})'(?!\w)"
)
_KEPT = re.compile(r"\x02(\d{1,3})\x03")
_SEPARATORS = re.compile(r"\s[-\u2013\u2014|]{1,3}\s|[:;,|()\[\]{}<>\u2013\u2014]|[.!?](?:\s|$)|->|=>")
_EDGES = re.compile(r"^[^\w/\\]{1,200}|[^\w/\\]{1,200}$")


@dataclass(slots=True)
class _Word:
    """A word of a subject. `segment` counts the parts between colons, dashes and brackets."""

    text: str
    folded: str
    segment: int
    is_name: bool = False
    is_outcome: bool = False
    is_gone: bool = False


def name_job(subject: str) -> str:
    """Return the job that a subject names, empty if it names none.

    It depends only on the subject. If it depended on the known names, the name of a job would change when the job becomes known.
    """
    text, kept = _set_quotes_apart(without_gateway_tags(subject[:_LONGEST]))
    text = replace_unspaced_terms(replace_varying(text), VARIED)
    words = list(_words(text, kept))[:_MOST_WORDS]
    _mark_outcomes(words)
    _mark_reasons(words)
    remaining = [word for word in words if not word.is_gone]
    while remaining and _is_tie(remaining[0]):
        remaining.pop(0)
    while remaining and _is_tie(remaining[-1]):
        remaining.pop()
    return " ".join(word.text for word in remaining)


def _set_quotes_apart(text: str) -> tuple[str, list[str]]:
    """Replace quoted texts by marks, so that nothing in them is taken for an outcome, a date or a counter."""
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(next(group for group in found.groups() if group is not None))
        return f" \x02{len(kept) - 1}\x03 "

    for mark in (VARIED, "\x02", "\x03"):
        text = text.replace(mark, " ")
    return _QUOTED.sub(keep, text), kept


def _words(text: str, kept: Sequence[str]) -> Iterator[_Word]:
    tying = words_of_kind("tie") | words_of_kind("frame")
    for segment, part in enumerate(_SEPARATORS.split(text)):
        for piece in part.split():
            mark = _KEPT.fullmatch(piece)
            if piece == VARIED:
                yield _Word("", "", segment, is_gone=True)
            elif mark is not None and int(mark[1]) < len(kept):
                name = " ".join(kept[int(mark[1])].split())
                # A quoted text that is only an outcome, such as a status, names nothing.
                is_name = outcome_terms().length_at([fold(name)], 0) == 0
                yield _Word(name, fold(name), segment, is_name=is_name)
            elif word := _EDGES.sub("", piece):
                # `DE` among other words is a site, and no German article.
                is_code = word.isupper() and len(word) <= _LONGEST_CODE and not text.isupper() and fold(word) in tying
                yield _Word(word, fold(word), segment, is_name=is_code or _is_name(word))


def _is_name(word: str) -> bool:
    """Return whether a word is a name and not a word of a language: a drive letter, or a word with a digit, hyphen, slash or dot."""
    return any(letter.isdecimal() or letter in "-_/\\@." for letter in word) or (len(word) == 1 and word.isupper())


def _is_tie(word: _Word) -> bool:
    return not word.is_name and word.folded in words_of_kind("tie")


def _mark_outcomes(words: Sequence[_Word]) -> None:
    """Mark the words that tell an outcome, and the words that connect them to the rest, such as "has"."""
    terms, frame = outcome_terms(), words_of_kind("frame")
    nouns = words_of_kind("generic") | words_of_kind("work")
    folded = [None if word.is_name or word.is_gone else word.folded for word in words]
    index = 0
    while index < len(words):
        length = terms.length_at(folded, index)
        for word in words[index : index + length]:
            # `backup con éxito` is a term, and its first word belongs to the job's name all the same.
            word.is_outcome, word.is_gone = True, length == 1 or word.folded not in nouns
        index += max(1, length)
    for word in words:
        if not word.is_name and word.folded in frame:
            word.is_gone = True
    _mark_counts(words)
    for index in range(len(words) - 2, -1, -1):
        if _is_tie(words[index]) and words[index + 1].is_gone:
            words[index].is_gone = True


def _mark_counts(words: Sequence[_Word]) -> None:
    """Mark numbers that count something, and the counted word if it cannot be a name."""
    for index, (word, after) in enumerate(pairwise(words)):
        # A part that begins with a number counts something: `12 crates moved`. `Server 2` and `365 backup` have names.
        is_first = index == 0 or words[index - 1].segment != word.segment
        counts = after.segment == word.segment and not after.is_gone and after.folded not in words_of_kind("generic")
        if word.text.isdecimal() and is_first and counts:
            word.is_gone = True
    for before, word in pairwise(words):
        is_counted = word.folded in words_of_kind("counted") and word.segment == before.segment
        if before.is_gone and is_counted and not word.is_name:
            word.is_gone = True


def _mark_reasons(words: Sequence[_Word]) -> None:
    """Mark the parts after the outcome that only describe it and name nothing, such as `connection lost` in `failed: connection lost`.

    They count as a reason only if another part has a name and none of their words can be one: "backup of X" is not a reason.
    """
    first = next((word.segment for word in words if word.is_outcome), None)
    if first is None:
        return
    generic = words_of_kind("generic")
    for segment in sorted({word.segment for word in words if word.segment > first and word.is_outcome}):
        left = [word for word in words if word.segment == segment and not word.is_gone]
        elsewhere = [word for word in words if word.segment != segment and not word.is_gone]
        is_plain = all(word.folded in generic or _is_tie(word) for word in left)
        is_reason = not any(word.folded in generic | words_of_kind("work") or _may_be_name(word) for word in left)
        if (is_plain and any(word.folded not in generic for word in elsewhere)) or (
            is_reason and any(word.is_name for word in elsewhere)
        ):
            for word in left:
                word.is_gone = True


def _may_be_name(word: _Word) -> bool:
    if word.is_name:
        return True
    return word.text[:1].isupper() and word.folded not in words_of_kind("reason") | words_of_kind("generic")
