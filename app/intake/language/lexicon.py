"""Look up the terms of all languages: which of them begin at a token, with `*` for endings and ` .. ` for words between.

Most terms are kept as bytes, by their first piece, and made into entries when a text has that piece: 35 000 entries would take 14 MiB in
each process that reads texts, and most services see a few hundred of them.
"""

import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, NamedTuple

from app.intake.language.fold import fold, fold_typed
from app.intake.language.tokens import CJK, Token, TokenKind
from app.intake.language.words_file import TermMeaning, has_word_boundaries, languages, load_terms

MARKS = "marks"  # the file of signs that mean the same in every language
GAP = ".."
MAX_GAP = 3
_WORDS = 8192  # of texts that are kept: the words of most reports; a sender can fill it with others, and each takes half a KiB
_KEY = 3  # letters that terms with `*` are found by
_PIECE = re.compile(r"\$\?|[\[(<][^\s\])>]{1,2}[\])>]|[^\W_](?:[\w'*./+&-]*[\w*])?|\*[\w'*-]+|\S")
_CJK_RUN = re.compile(rf"[{CJK}]+")


class Entry(NamedTuple):
    """A term, cut into folded pieces. `unmarked` if it has diacritics that these pieces lack."""

    language: str
    meaning: TermMeaning
    term: str
    pieces: tuple[str, ...]
    unmarked: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """A term found in tokens: it covers `positions`; `end` is the position behind its last piece. `guessed` from a typing error."""

    entry: Entry
    positions: tuple[int, ...]
    end: int
    guessed: bool = False


@dataclass(slots=True)
class _Index:
    exact: dict[str, bytes] = field(
        default_factory=dict
    )  # by a first piece without `*`: the terms, each packed into a line
    prefixes: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    suffixes: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    later_pieces: set[str] = field(default_factory=set)  # all other pieces without `*` that are no key of `exact`
    negations: set[str] = field(default_factory=set)  # terms of one word that negate, in all languages
    gateway: set[str] = field(default_factory=set)
    run_on: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))  # by language


_NEGATIONS = frozenset(
    (TermMeaning.NOT, TermMeaning.NONE, TermMeaning.NOT_BOTH, TermMeaning.NOT_BACK, TermMeaning.ABSENT)
)

_GOOD = frozenset((TermMeaning.SUCCEEDED, TermMeaning.FIXED, TermMeaning.ALL, TermMeaning.IGNORE))


_ONE_LOADS = threading.Lock()  # requests that need the words first, each in a thread, would otherwise all load them


@cache
def _index() -> _Index:
    with _ONE_LOADS:
        return _load_index()


@cache
def _load_index() -> _Index:
    index = _Index()
    for language in languages():
        runs_on = not has_word_boundaries(language)
        terms = [(term, fold(term.term)) for term in load_terms(language)]
        negations = {folded for term, folded in terms if term.meaning in _NEGATIONS}
        index.negations |= negations
        for (_, meaning, text), folded in terms:
            if meaning is TermMeaning.FAILED and not negations.isdisjoint(folded.split()):
                meaning = TermMeaning.NOT_DONE  # noqa: PLW2901  ("could not" is not denied by a further negation)
            if meaning is TermMeaning.GATEWAY:
                index.gateway.add(folded)
            elif runs_on and _CJK_RUN.search(text):
                pieces = tuple(re.sub(r"\s+", "", part) for part in folded.split(GAP))
                index.run_on[language].append(Entry(language, meaning, text, pieces))
            elif text.isascii():  # typed as it is: each start of the service reads all of these files
                _add(index, Entry(language, meaning, text, _cut(folded)))
            else:
                for spelling in dict.fromkeys((folded, fold_typed(text))):
                    _add(index, Entry(language, meaning, text, _cut(spelling), spelling != text.casefold()))
    index.later_pieces -= index.exact.keys()
    return index


def _cut(spelling: str) -> tuple[str, ...]:
    words = spelling.split()
    if not "".join(words).isalnum():
        words = [piece for word in words for piece in ([GAP] if word == GAP else _PIECE.findall(word))]
    return tuple(words)


_MEANINGS = tuple(TermMeaning)
_NUMBERS = {meaning: str(number) for number, meaning in enumerate(_MEANINGS)}


def _pack(entry: Entry) -> bytes:
    """Return the entry as a line. Its text is left out where it is the pieces, and the first piece always."""
    pieces = " ".join(entry.pieces[1:])
    text = "" if entry.term == " ".join(entry.pieces) else entry.term
    return "\t".join((entry.language, _NUMBERS[entry.meaning], "u" * entry.unmarked, text, pieces)).encode()


def _unpack(first: str, lines: bytes) -> Iterator[Entry]:
    for line in lines.decode().split("\n"):
        language, number, unmarked, text, rest = line.split("\t")
        pieces = (first, *rest.split(" ")) if rest else (first,)
        yield Entry(language, _MEANINGS[int(number)], text or " ".join(pieces), pieces, bool(unmarked))


def _add(index: _Index, entry: Entry) -> None:
    first = entry.pieces[0]
    if first.endswith("*"):
        index.prefixes[first[:_KEY].rstrip("*")].append(entry)
    elif first.startswith("*"):
        index.suffixes[first[-_KEY:]].append(entry)
    else:
        before = index.exact.get(first)
        index.exact[first] = _pack(entry) if before is None else before + b"\n" + _pack(entry)
    index.later_pieces.update(piece for piece in entry.pieces[1:] if "*" not in piece)


def is_gateway_word(word: str) -> bool:
    """Return whether a folded word shows that the brackets around it are a mark of a mail gateway."""
    return word in _index().gateway


def has_gateway_run(text: str) -> bool:
    """Return whether a folded text without word boundaries has such a word."""
    return any(word in text for word in _index().gateway if not word.isascii() and _CJK_RUN.fullmatch(word))


def all_entries() -> Iterator[Entry]:
    """Yield the terms that begin with a whole word, in all languages. It makes each of them again, which takes a tenth of a second."""
    for first, lines in _index().exact.items():
        yield from _unpack(first, lines)


def entries_of(word: str) -> tuple[Entry, ...]:
    """Return the terms that begin with exactly this folded word."""
    lines = _index().exact.get(word)
    return () if lines is None else tuple(_unpack(word, lines))


@lru_cache(maxsize=_WORDS)
def entries_at(word: str) -> tuple[Entry, ...]:
    """Return the terms whose first piece is this folded word."""
    index = _index()
    found = list(entries_of(word))
    for length in range(1, _KEY + 1):
        found += [entry for entry in index.prefixes.get(word[:length], ()) if _fits(entry.pieces[0], word)]
    found += [entry for entry in index.suffixes.get(word[-_KEY:], ()) if _fits(entry.pieces[0], word)]
    return tuple(dict.fromkeys(found))


def completions(beginning: str) -> Iterator[Entry]:
    """Yield the terms of one word that a cut word can be the beginning of, if all of them have the same meaning."""
    if len(beginning) < _SHORTEST_CUT:
        return
    by_language: dict[str, list[Entry]] = defaultdict(list)
    for word in _index().exact:
        if word.startswith(beginning):
            for entry in entries_of(word):
                if len(entry.pieces) == 1 and entry.meaning in _DECIDING:
                    by_language[entry.language].append(entry)
    for language, found in by_language.items():
        if len(beginning) == _SHORTEST_CUT and language != "en":
            continue
        if len({entry.meaning in _HARMFUL for entry in found}) == 1:
            yield from found


_SHORTEST_CUT = 3
_HARMFUL = frozenset(
    (TermMeaning.FAILED, TermMeaning.STOPPED, TermMeaning.TROUBLE, TermMeaning.WARNED, TermMeaning.CANCELLED)
)


_DECIDING = _HARMFUL | {TermMeaning.SUCCEEDED, TermMeaning.ENDED, TermMeaning.RUNNING, TermMeaning.NOT_DONE}


def _fits(piece: str, word: str) -> bool:
    if "*" not in piece:
        return piece == word
    if "-" in word and "-" not in piece:
        return False  # a word with a hyphen is a name unless a term has the hyphen too
    core = piece.strip("*")
    if piece.endswith("*") and piece.startswith("*"):
        return core in word
    if piece.endswith("*"):
        return word.startswith(core)
    return word.endswith(core)


@lru_cache(maxsize=_WORDS)
def is_term(word: str) -> bool:
    """Return whether a folded word is a term, or a piece of one."""
    index = _index()
    return word in index.exact or word in index.later_pieces or bool(entries_at(word))


@dataclass(frozen=True, slots=True)
class _Beginnings:
    """The terms that begin with a word: those of one word, those whose second piece is a plain word, by it,
    those with a plain last piece, by it, and the others.
    """

    single: tuple[Entry, ...]
    by_second: Mapping[str, tuple[Entry, ...]]
    by_last: Mapping[str, tuple[Entry, ...]]
    other: tuple[Entry, ...]


@lru_cache(maxsize=_WORDS)
def _beginnings(word: str) -> _Beginnings | None:
    entries = entries_at(word)
    if not entries:
        return None
    by_second: dict[str, tuple[Entry, ...]] = {}
    by_last: dict[str, tuple[Entry, ...]] = {}
    other: list[Entry] = []
    for entry in entries:
        if len(entry.pieces) > 1 and entry.pieces[1] != GAP and "*" not in entry.pieces[1]:
            by_second[entry.pieces[1]] = (*by_second.get(entry.pieces[1], ()), entry)
        elif len(entry.pieces) > 1 and "*" not in entry.pieces[-1]:
            by_last[entry.pieces[-1]] = (*by_last.get(entry.pieces[-1], ()), entry)
        elif len(entry.pieces) > 1:
            other.append(entry)
    single = tuple(entry for entry in entries if len(entry.pieces) == 1)
    return _Beginnings(single, by_second, by_last, tuple(other))


def match_at(tokens: Sequence[Token], start: int, texts: set[str]) -> list[Match]:
    """Return the terms that begin at a token. `texts` are the texts of all tokens."""
    beginnings = _beginnings(tokens[start].text)
    if beginnings is None:
        return []
    found = [Match(entry, (start,), start + 1) for entry in beginnings.single]
    behind = tokens[start + 1].text if start + 1 < len(tokens) else ""
    possible = [*beginnings.by_second.get(behind, ()), *beginnings.other]
    if beginnings.by_last:
        for last in sorted(texts & beginnings.by_last.keys()):
            possible += beginnings.by_last[last]
    for entry in possible:
        positions = _match_rest(entry.pieces, tokens, start)
        if positions and not _skips_negation(entry, tokens, positions):
            found.append(Match(entry, positions, positions[-1] + 1))
    return found


def _match_rest(pieces: Sequence[str], tokens: Sequence[Token], start: int) -> tuple[int, ...]:
    positions, at, gap = [start], start + 1, 0
    for piece in pieces[1:]:
        if piece == GAP:
            gap = MAX_GAP
            continue
        for there in range(at, min(at + gap + 1, len(tokens))):
            if _fits(piece, tokens[there].text):
                positions.append(there)
                at, gap = there + 1, 0
                break
            if tokens[there].kind is TokenKind.MARK:
                return ()
        else:
            return ()
        if gap:
            return ()
    return tuple(positions)


def _skips_negation(entry: Entry, tokens: Sequence[Token], positions: tuple[int, ...]) -> bool:
    """Return whether a good term has a negation between its words: "snapshot .. created" is not in "snapshot not created"."""
    if entry.meaning not in _GOOD or positions[-1] - positions[0] == len(positions) - 1:
        return False
    negations = _index().negations
    return any(tokens[at].text in negations for at in range(positions[0], positions[-1]))


@cache
def _run_on_terms(spoken: tuple[str, ...]) -> tuple[re.Pattern[str], Mapping[str, Entry], tuple[Entry, ...]]:
    entries = [entry for language in spoken for entry in _index().run_on[language]]
    entries.sort(key=lambda entry: -len("".join(entry.pieces)))
    pattern = "|".join(rf"[{CJK}\w]{{0,12}}?".join(map(re.escape, entry.pieces)) for entry in entries)
    simple: dict[str, Entry] = {}
    for entry in entries:
        if len(entry.pieces) == 1:
            simple.setdefault(entry.pieces[0], entry)
    return re.compile(pattern or r"(?!)"), simple, tuple(entry for entry in entries if len(entry.pieces) > 1)


def run_on_matches(text: str, spoken: tuple[str, ...]) -> Iterator[tuple[int, int, Entry]]:
    """Yield start, end and term for the terms in a run of characters without word boundaries, the longest first."""
    pattern, simple, gapped = _run_on_terms(spoken)
    for found in pattern.finditer(text):
        entry = simple.get(found[0])
        if entry is None:
            entry = next((one for one in gapped if _fits_gapped(one, found[0])), None)
        if entry is not None:
            yield found.start(), found.end(), entry


def _fits_gapped(entry: Entry, text: str) -> bool:
    first, last = entry.pieces[0], entry.pieces[-1]
    if not (text.startswith(first) and text.endswith(last)):
        return False
    middle = text[len(first) : len(text) - len(last)]
    return entry.meaning not in _GOOD or not any(negation in middle for negation in _index().negations)


# A term is possible if all words of one of these tuples are there too. Tuples, because frozensets of one word take four times as much.
Needs = tuple[tuple[bytes, ...], ...]
NO_OTHER: Needs = ((),)  # one for all: most terms need no other word


@lru_cache(maxsize=16)
def _anchored(
    meanings: tuple[TermMeaning, ...], spoken: frozenset[str]
) -> tuple[dict[bytes, Needs], Mapping[str, tuple[str, ...]]]:
    """Return the longest piece of each term of these meanings: the exact ones, and those with `*` by their first or last letters."""
    exact: dict[bytes, Needs] = {}
    open_ended: dict[str, list[str]] = defaultdict(list)
    single: set[bytes] = set()
    kept: dict[object, Any] = {}
    for entry in _every_entry():
        if entry.meaning not in meanings or entry.language not in spoken:
            continue
        piece = max(entry.pieces, key=lambda one: len(one.strip("*")) if one != GAP else 0)
        if len(entry.pieces) == 1 and "*" not in piece:
            single.add(piece.encode())
        elif "*" not in piece:
            others = {one.encode() for one in entry.pieces if one not in (piece, GAP) and one.isalpha()}
            need = tuple(kept.setdefault(one, one) for one in sorted(others))
            found = (*exact.get(piece.encode(), ()), need) if need else NO_OTHER
            exact[piece.encode()] = kept.setdefault(found, found)
        else:
            open_ended[piece[:_KEY].rstrip("*") if piece.endswith("*") else piece[-_KEY:]].append(piece)
    exact.update(dict.fromkeys(single, NO_OTHER))  # a word that is a term by itself needs no other
    return exact, {key: tuple(dict.fromkeys(pieces)) for key, pieces in open_ended.items()}


def _every_entry() -> Iterator[Entry]:
    yield from all_entries()
    for entries in (*_index().prefixes.values(), *_index().suffixes.values()):
        yield from entries


def common_words() -> dict[str, frozenset[bytes]]:
    """Return the frequent words of each language, in UTF-8."""
    words: dict[str, set[bytes]] = defaultdict(set)
    for entry in all_entries():
        if entry.meaning is TermMeaning.COMMON and len(entry.pieces) == 1:
            words[entry.language].add(entry.pieces[0].encode())
    return {language: frozenset(found) for language, found in words.items()}


def anchors(meanings: tuple[TermMeaning, ...], spoken: frozenset[str]) -> dict[bytes, Needs]:
    """Return words, in UTF-8, one of which stands in every text of these languages that has a term of these meanings, but for terms with `*`.

    Each has sets of other words, all of one of which stand there too.
    """
    return _anchored(meanings, spoken)[0]


def is_anchor(word: str, meanings: tuple[TermMeaning, ...], spoken: frozenset[str]) -> bool:
    """Return whether a text with this folded word may have a term of one of these meanings."""
    exact, open_ended = _anchored(meanings, spoken)
    if word.encode() in exact:
        return True
    keys = [word[:length] for length in range(1, _KEY + 1)] + [word[-_KEY:]]
    return any(_fits(piece, word) for key in keys for piece in open_ended.get(key, ()))


@cache
def run_on_anchors(meanings: tuple[TermMeaning, ...]) -> tuple[str, ...]:
    """Return pieces of terms without word boundaries. One of the pieces stands in every such text that has a term of these meanings."""
    pieces = {
        max(entry.pieces, key=len)
        for entries in _index().run_on.values()
        for entry in entries
        if entry.meaning in meanings
    }
    return tuple(sorted(pieces))
