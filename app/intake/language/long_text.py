"""Choose the lines of a body that are read: all lines of a short body; of a long one the first, the last, and all with words of trouble."""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate

from app.intake.language.fold import fold
from app.intake.language.lexicon import MARKS, NO_OTHER, Needs, anchors, common_words, is_anchor, run_on_anchors
from app.intake.language.tokens import CJK
from app.intake.language.words_file import TermMeaning as T
from app.intake.language.words_file import languages

MAX_TEXT = 4 * 1024 * 1024  # characters of a body that are looked at
_MAX_LINE, _MAX_LINE_OF_LONG_TEXT = 1000, 250  # characters; a longer line is read in parts
_SHORT_LINES, _SHORT_TEXT = 40, 4000
_HEAD, _TAIL, _MAX_HITS, _MAX_VERDICTS, _VERDICT_WITHIN = 2, 4, 120, 3, 60
_MAX_KNOWN_HARMLESS = 8_000
_TROUBLE = (
    T.NOT_DONE,
    T.ABSENT,
    T.FAILED,
    T.WARNED,
    T.CANCELLED,
    T.STOPPED,
    T.TROUBLE,
    T.STALE,
    T.NOT,
    T.NONE,
    T.NOT_BACK,
    T.NOT_BOTH,
    T.EXIT_CODE,
)
_SIGNATURE = 12  # lines
_VERDICT = (T.SUCCEEDED,)
_CJK = re.compile(f"[{CJK}]")
# Characters around words. Those inside paths and host names are left out, because a file `error.log` is not trouble.
_PUNCTUATION = b'!"#$%&()*+,:;<=>?[]^`{|}~	'
_AROUND_WORDS = bytes.maketrans(_PUNCTUATION, b" " * len(_PUNCTUATION))


@dataclass(frozen=True, slots=True)
class ChosenLines:
    """The lines to read, in order. `complete` is false if lines with words of trouble were too many to read all."""

    lines: Sequence[str]
    complete: bool


def choose_lines(body: str) -> ChosenLines:
    """Return the lines of a body that are read. Lines quoted from another mail, and a signature, are left out."""
    complete = len(body) <= MAX_TEXT
    lines = _own_lines(body[:MAX_TEXT])
    if len(lines) <= _SHORT_LINES and len(body) <= _SHORT_TEXT:
        return ChosenLines(lines, complete)
    lines = _cut(lines, _MAX_LINE_OF_LONG_TEXT)
    plain = _plain_bytes(lines)
    unique = set(plain.split())
    spoken, frequent = _languages(unique)  # "der" is no Czech in a German text
    trouble, verdicts = _hits(unique - frequent, _TROUBLE, spoken), _hits(unique - frequent, _VERDICT, spoken)
    rough = plain.split(b"\n")
    numbers = [number for number in _lines_with(plain, rough, trouble) if _may_state(rough[number], trouble)]
    if not body.isascii() and _CJK.search(body):
        numbers += _lines_with_run_on(lines)
    chosen = set(range(min(_HEAD, len(lines)))) | set(range(max(0, len(lines) - _TAIL), len(lines)))
    seen = {lines[number] for number in chosen}
    for number in numbers:
        if lines[number] not in seen:
            seen.add(lines[number])
            chosen.add(number)
            if len(seen) > _HEAD + _TAIL + _MAX_HITS:
                complete = False
                break
    last = range(len(lines) - 1, max(-1, len(lines) - 1 - _VERDICT_WITHIN), -1) if verdicts else ()
    with_verdict = (number for number in last if _may_state(rough[number], verdicts))
    chosen.update(number for number, _ in zip(with_verdict, range(_MAX_VERDICTS), strict=False))
    return ChosenLines([lines[number] for number in sorted(chosen)], complete)


def _own_lines(body: str) -> list[str]:
    signature = body.rfind("\n-- \n")
    if signature >= 0 and body.count("\n", signature) <= _SIGNATURE:
        body = body[:signature]
    lines = [line for line in body.split("\n") if line and not line.isspace()]
    if ">" in body:
        lines = [line for line in lines if not line.startswith(("> ", ">>")) and line.strip() != ">"]
    return _cut(lines, _MAX_LINE)


def _cut(lines: list[str], most: int) -> list[str]:
    """Return the lines with those that are too long cut, at the end of a sentence or between words where there is one."""
    if max(map(len, lines), default=0) <= most:
        return lines
    parts: list[str] = []
    for line in lines:
        rest = line
        while len(rest) > most:
            at = max(rest.rfind(". ", most // 2, most), rest.rfind(", ", most // 2, most)) + 1
            at = at or rest.rfind(" ", most // 2, most) + 1 or most
            parts.append(rest[:at])
            rest = rest[at:]
        parts.append(rest)
    return parts


def _plain_bytes(lines: list[str]) -> bytes:
    """Return the lines with nothing but blanks around their words, as bytes: splitting those is fast."""
    plain = "\n".join(lines).lower().encode("utf-8", "replace").translate(_AROUND_WORDS)
    return plain.replace(b". ", b" ").replace(b".\n", b"\n").removesuffix(b".")


@cache
def _common_words() -> Mapping[str, frozenset[bytes]]:
    return common_words()


def _languages(words: set[bytes]) -> tuple[frozenset[str], frozenset[bytes]]:
    """Return the languages that a text may be in, and the frequent words of the one that it is most likely in."""
    found = {language: len(common & words) for language, common in _common_words().items()}
    most = max(found.values(), default=0)
    if most < _SURE:
        return frozenset(languages()), frozenset()
    own = max(found, key=lambda language: found[language])
    spoken = {language for language, count in found.items() if count * 2 >= most} | {"en", MARKS}
    return frozenset(spoken), _common_words()[own]


_SURE = 4  # frequent words of one language: below it, the text is read in all


@lru_cache(maxsize=16)
def _known_harmless(_meanings: tuple[T, ...], _spoken: frozenset[str]) -> set[bytes]:
    return set()


def _hits(words: set[bytes], meanings: tuple[T, ...], spoken: frozenset[str]) -> dict[bytes, Needs]:
    """Return the words that may be in a term of one of the meanings, with the other words that the term needs."""
    exact, harmless = anchors(meanings, spoken), _known_harmless(meanings, spoken)
    unknown = words.difference(exact)  # `words - exact.keys()` would look at each of the thousands of keys
    found: dict[bytes, Needs] = {}
    for word in words - unknown:
        possible = tuple(need for need in exact[word] if words.issuperset(need))
        if possible:
            found[word] = possible
    if len(harmless) > _MAX_KNOWN_HARMLESS:
        harmless.clear()
    for word in unknown - harmless:
        if (word.isalpha() or not word.isascii()) and is_anchor(
            fold(word.decode("utf-8", "replace")), meanings, spoken
        ):
            found[word] = NO_OTHER
        else:
            harmless.add(word)
    return found


def _lines_with(plain: bytes, lines: list[bytes], hits: Mapping[bytes, Needs]) -> list[int]:
    """Return the numbers of the lines in which one of the words stands, or is a part of another."""
    if not hits:
        return []
    starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
    found: set[int] = set()
    for hit in hits:
        at = plain.find(hit)
        while at >= 0:
            number = bisect_right(starts, at) - 1
            found.add(number)
            at = plain.find(hit, starts[number + 1])
    return sorted(found)


def _lines_with_run_on(lines: list[str]) -> list[int]:
    """Return the numbers of the lines with a term of trouble of a language without word boundaries.

    Only terms whose letters all stand somewhere are searched for: there are thousands of terms.
    """
    text = "\n".join(lines)
    letters = set(text)
    starts = list(accumulate(map(len, lines), lambda start, length: start + length + 1, initial=0))
    found: set[int] = set()
    for piece in run_on_anchors(_TROUBLE):
        at = text.find(piece) if letters.issuperset(piece) else -1
        while at >= 0:
            number = bisect_right(starts, at) - 1
            found.add(number)
            at = text.find(piece, starts[number + 1])
    return sorted(found)


def _may_state(line: bytes, hits: Mapping[bytes, Needs]) -> bool:
    words = line.split()
    if hits.keys().isdisjoint(words):
        return False
    unique = set(words)
    return any(unique.issuperset(need) for word in unique & hits.keys() for need in hits[word])
