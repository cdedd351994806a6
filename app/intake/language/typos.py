"""Find the term that a word with one typing error was meant to be: a letter is missing, added, exchanged or wrong."""

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from app.intake.language.lexicon import Entry, all_entries, entries_of
from app.intake.language.words_file import TermMeaning

_SHORTEST, _SHORTEST_BAD, _SHORTEST_WRONG_LETTER, _LONGEST = 5, 6, 7, 24
_MEANINGS = frozenset(
    (
        TermMeaning.FAILED,
        TermMeaning.NOT_DONE,
        TermMeaning.WARNED,
        TermMeaning.CANCELLED,
        TermMeaning.STOPPED,
        TermMeaning.SUCCEEDED,
        TermMeaning.WELL,
        TermMeaning.TROUBLE,
        TermMeaning.NOT,
    )
)


_NOUNS_AND_GOOD = frozenset((TermMeaning.SUCCEEDED, TermMeaning.WELL, TermMeaning.TROUBLE))


@dataclass(frozen=True, slots=True)
class _Spellings:
    """The hashes of many spellings, sorted, and for each the place of its term: a hundredth of what a dictionary of them takes."""

    hashes: "array[int]"
    places: "array[int]"
    words: list[str]

    def find(self, spelling: str) -> Iterator[Entry]:
        """Yield the terms with this spelling."""
        wanted = hash(spelling)
        at = bisect_left(self.hashes, wanted)
        while at < len(self.hashes) and self.hashes[at] == wanted:
            word = self.words[self.places[at]]
            if spelling == word or spelling in _without_one(word):
                yield from filter(_can_be_meant, entries_of(word))
            at += 1


@cache
def _near() -> Mapping[str, _Spellings]:
    """Return the terms by each spelling of them that lacks one letter, and by themselves (SymSpell's method), by the first letter of all.

    One letter after the other: the list of all spellings left 6 MiB of holes in the memory of the process.
    """
    words: dict[str, list[str]] = defaultdict(list)
    for word in dict.fromkeys(entry.pieces[0] for entry in all_entries() if _can_be_meant(entry)):
        words[word[0]].append(word)
    return {first: _spellings_of(same) for first, same in words.items()}


def _spellings_of(words: list[str]) -> _Spellings:
    near = [(hash(spelling), at) for at, word in enumerate(words) for spelling in (word, *_without_one(word))]
    near.sort()
    return _Spellings(array("q", [one for one, _ in near]), array("l", [place for _, place in near]), words)


def _can_be_meant(entry: Entry) -> bool:
    word = entry.pieces[0]
    if len(entry.pieces) > 1 or entry.meaning not in _MEANINGS or not _SHORTEST <= len(word.strip("*")) <= _LONGEST:
        return False
    long_enough = len(word) >= _SHORTEST_BAD or entry.meaning in _NOUNS_AND_GOOD
    return "*" not in word and word.isalpha() and long_enough


def _without_one(word: str) -> Iterator[str]:
    yield from dict.fromkeys(word[:at] + word[at + 1 :] for at in range(1, len(word)))


@lru_cache(maxsize=8192)
def find_typo(word: str) -> tuple[Entry, ...]:
    """Return the terms that differ from the word by one typing error behind the first letter."""
    if not _SHORTEST - 1 <= len(word) <= _LONGEST:
        return ()
    near = _near().get(word[0])
    if near is None:
        return ()
    found = dict.fromkeys(entry for spelling in (word, *_without_one(word)) for entry in near.find(spelling))
    return tuple(entry for entry in found if _is_typo(word, entry.pieces[0]))


@lru_cache(maxsize=8192)
def find_denied_typo(word: str) -> tuple[Entry, ...]:
    """Return the nouns of trouble that a short word behind a negation was meant to be: "zonder fauten"."""
    if not _SHORTEST - 1 <= len(word) <= _LONGEST:
        return ()
    return tuple(
        entry
        for noun in _nouns_of_trouble().get(word[0], ())
        if abs(len(noun) - len(word)) <= 1 and _is_close(word, noun)
        for entry in entries_of(noun)
        if _is_noun_of_trouble(entry)
    )


@cache
def _nouns_of_trouble() -> Mapping[str, list[str]]:
    """Return the nouns by their first letter: a text of unknown words would otherwise be compared with all of them, for each word."""
    nouns: dict[str, list[str]] = defaultdict(list)
    for word in dict.fromkeys(entry.pieces[0] for entry in all_entries() if _is_noun_of_trouble(entry)):
        nouns[word[0]].append(word)
    return nouns


def _is_noun_of_trouble(entry: Entry) -> bool:
    return entry.meaning is TermMeaning.TROUBLE and len(entry.pieces) == 1 and len(entry.pieces[0]) >= _SHORTEST - 1


def _is_close(word: str, term: str) -> bool:
    if word[0] != term[0]:
        return False
    if len(word) == len(term):
        different = [at for at, (one, other) in enumerate(zip(word, term, strict=True)) if one != other]
        return len(different) == 1 or (len(different) == 2 and sorted(word) == sorted(term))  # noqa: PLR2004  (exchanged)
    longer, shorter = (word, term) if len(word) > len(term) else (term, word)
    return any(longer[:at] + longer[at + 1 :] == shorter for at in range(1, len(longer)))


def _is_typo(word: str, term: str) -> bool:
    if len(word) < len(term):
        # "save" is another form of "saved"; of a short word only a vowel or a double letter may be left out.
        at = next((at for at, (one, other) in enumerate(zip(term, word, strict=False)) if one != other), len(word))
        forgotten = term[at] in "aeiou" or term[at] == term[at - 1]
        return not term.startswith(word) and (len(word) >= _SHORTEST or forgotten)
    if len(word) > len(term):
        return not word.startswith(term)
    different = [at for at, (one, other) in enumerate(zip(word, term, strict=True)) if one != other]
    if len(different) == 1:
        return len(term) >= _SHORTEST_WRONG_LETTER and 0 < different[0] < len(term) - 1
    return (
        len(different) == 2  # noqa: PLR2004  (two neighbours)
        and different[1] == different[0] + 1
        and word[different[0]] == term[different[1]]
        and word[different[1]] == term[different[0]]
    )
