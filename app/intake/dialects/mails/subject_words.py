"""Find the words of a subject that do not name the job: outcomes from the word files of all languages, and subject_words.tsv."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from app.intake.language.words_file import TermMeaning, has_word_boundaries, languages, load_terms

# Not `good`, `thing`, `other_work` and `no_run`: a backup, a copy and a restore of the same thing are different jobs.
_OUTCOME_MEANINGS = frozenset(
    {
        TermMeaning.FAILED, TermMeaning.NOT_DONE, TermMeaning.WARNED, TermMeaning.CANCELLED, TermMeaning.STOPPED,
        TermMeaning.SUCCEEDED, TermMeaning.WELL, TermMeaning.ENDED, TermMeaning.RUNNING, TermMeaning.TROUBLE, TermMeaning.NOT,
        TermMeaning.NOT_BACK, TermMeaning.NOT_BOTH, TermMeaning.ABSENT, TermMeaning.ALL, TermMeaning.NONE, TermMeaning.ENDS_SCOPE,
        TermMeaning.EXCEPT, TermMeaning.STALE, TermMeaning.PAST, TermMeaning.FIXED, TermMeaning.DOUBT, TermMeaning.EXIT_CODE,
        TermMeaning.STATUS_KEY,
    }
)  # fmt: skip
_SHORTEST_BEGINNING = 4  # a shorter one would take away half of all names
_LONGEST_ENDING = 6  # letters after a beginning; a longer rest makes a compound, which is a name
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_LETTERS = str.maketrans({"ł": "l", "\u0131": "i", "ø": "o", "đ": "d"})


def fold(text: str) -> str:
    """Return a text without case and diacritics."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).translate(_LETTERS)


@cache
def words_of_kind(kind: str) -> frozenset[str]:
    """Return the words of one kind in subject_words.tsv, folded."""
    text = (files(__package__) / "subject_words.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return frozenset(fold(word) for row_kind, word in rows if row_kind == kind)


@dataclass(frozen=True, slots=True)
class OutcomeTerms:
    """The outcome terms of all languages with spaces: whole words, word beginnings and ends, and phrases by their first word."""

    words: frozenset[str]
    beginnings: Mapping[str, Sequence[str]]  # by their first letters
    ends: tuple[str, ...]
    phrases: Mapping[str, Sequence[Sequence[str]]]

    def length_at(self, words: Sequence[str | None], index: int) -> int:
        """Return how many words the longest term at a place has, 0 if there is none. `words` are folded; None is a name."""
        word = words[index]
        if word is None:
            return 0
        longest = max((_phrase_length(phrase, words, index) for phrase in self.phrases.get(word, ())), default=0)
        return max(longest, 1 if self._is_term(word) else 0)

    def _is_term(self, word: str) -> bool:
        if word in self.words or (self.ends and word.endswith(self.ends)):
            return True
        for beginning in self.beginnings.get(word[:_SHORTEST_BEGINNING], ()):
            ending = word[len(beginning) :]
            if (
                word.startswith(beginning)
                and len(ending) <= _LONGEST_ENDING
                and ending not in words_of_kind("compound")
            ):
                return True
        return False


def _phrase_length(phrase: Sequence[str], words: Sequence[str | None], index: int) -> int:
    if len(words) - index < len(phrase):
        return 0
    for part, word in zip(phrase, words[index:], strict=False):
        if word is None or not (word.startswith(part[:-1]) if part.endswith("*") else word == part):
            return 0
    return len(phrase)


@cache
def outcome_terms() -> OutcomeTerms:
    """Return the outcome terms of all languages."""
    words, beginnings, ends = set(words_of_kind("outcome")), dict[str, list[str]](), set[str]()
    phrases = dict[str, list[tuple[str, ...]]]()
    for term in _terms(with_spaces=True):
        parts = term.split(" .. ")
        for pieces in (tuple(part.split()) for part in parts):
            if len(pieces) > 1:
                phrases.setdefault(pieces[0], []).append(pieces)
            elif len(parts) > 1 or not pieces:
                continue  # half of a term means nothing
            elif pieces[0].endswith("*"):
                beginning = pieces[0].strip("*")
                if len(beginning) >= _SHORTEST_BEGINNING:
                    beginnings.setdefault(beginning[:_SHORTEST_BEGINNING], []).append(beginning)
            elif pieces[0].startswith("*"):
                ends.add(pieces[0].strip("*"))
            else:
                words.add(pieces[0])
    ends = {end for end in ends if len(end) >= _SHORTEST_BEGINNING}
    words.discard("tue")  # Tuesday: `Weekly Tue` is a job; the French `tué` is rarer
    return OutcomeTerms(frozenset(words), beginnings, tuple(sorted(ends)), phrases)


def replace_unspaced_terms(text: str, mark: str) -> str:
    """Return a text with a mark for each outcome term of a language that has no spaces between words."""
    if _UNSPACED.search(text) is None:
        return text
    for term in _unspaced_terms():
        text = text.replace(term, f" {mark} ")
    return text


@cache
def _unspaced_terms() -> Sequence[str]:
    terms = {
        part for term in _terms(with_spaces=False) for part in term.replace("*", "").split(" .. ") if len(part) > 1
    }
    return sorted(terms, key=len, reverse=True)


def _terms(*, with_spaces: bool) -> Iterator[str]:
    for language in languages():
        if has_word_boundaries(language) is with_spaces:
            for term in load_terms(language):
                if term.meaning in _OUTCOME_MEANINGS:
                    yield fold(term.term) if with_spaces else term.term
