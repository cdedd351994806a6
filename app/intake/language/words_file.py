"""Load the word files: words/<language>.tsv, one term a line with its meaning and an example, which a speaker can correct."""

from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import NamedTuple

NO_WORD_BOUNDARIES = "# no word boundaries"


class TermMeaning(StrEnum):
    """What a term does to the clause that it stands in (the trigger categories of ConText and NegEx, and counts).

    docs/languages.md explains each.
    """

    FAILED = "failed"
    NOT_DONE = "not_done"
    WARNED = "warned"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    SUCCEEDED = "succeeded"
    WELL = "well"
    ENDED = "ended"
    RUNNING = "running"
    TROUBLE = "trouble"
    GOOD = "good"
    THING = "thing"
    NOT = "not"
    NOT_BACK = "not_back"
    NOT_BOTH = "not_both"
    ABSENT = "absent"
    ALL = "all"
    NONE = "none"
    OF = "of"
    ENDS_SCOPE = "ends_scope"
    EXCEPT = "except"
    STALE = "stale"
    PAST = "past"
    YESTERDAY = "yesterday"
    TODAY = "today"
    FIXED = "fixed"
    FUTURE = "future"
    DOUBT = "doubt"
    NO_RUN = "no_run"
    OTHER_WORK = "other_work"
    IGNORE = "ignore"
    LAST = "last"
    PERSON = "person"
    EXPECTED = "expected"
    EXIT_CODE = "exit_code"
    STATUS_KEY = "status_key"
    GATEWAY = "gateway"
    COMMON = "common"


_MEANINGS = {
    str(meaning): meaning for meaning in TermMeaning
}  # calling the enum for each of 40 000 lines takes four times as long


class Term(NamedTuple):
    """A line of a word file."""

    language: str
    meaning: TermMeaning
    term: str


class BadWordFile(ValueError):
    """A line of a word file that cannot be used; the message names file and line."""


def languages() -> list[str]:
    """Return the codes of the languages that have a word file."""
    folder = files(__package__) / "words"
    return sorted(file.name.removesuffix(".tsv") for file in folder.iterdir() if file.name.endswith(".tsv"))


@cache
def has_word_boundaries(language: str) -> bool:
    """Return whether words of the language are separated by spaces; where not, terms are found anywhere."""
    return not _read(language).startswith(NO_WORD_BOUNDARIES)


def load_terms(language: str) -> Iterator[Term]:
    """Yield the terms of a language. Raises BadWordFile."""
    for number, line in enumerate(_read(language).splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        columns = line.split("\t")
        if len(columns) != 3 or not all(map(str.strip, columns)):  # noqa: PLR2004  (meaning, term, example)
            raise BadWordFile(
                f"{language}.tsv, line {number}: three columns, separated by tabs: meaning, term, example"
            )
        meaning = _MEANINGS.get(columns[0])
        if meaning is None:
            raise BadWordFile(f"{language}.tsv, line {number}: {columns[0]!r} is no meaning")
        yield Term(language, meaning, " ".join(columns[1].split()))


def _read(language: str) -> str:
    return (files(__package__) / "words" / f"{language}.tsv").read_text(encoding="utf-8")
